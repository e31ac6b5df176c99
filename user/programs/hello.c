/* SPDX-License-Identifier: MIT */
/* hello: prints its arguments, one a line.
 */
#include <hx/io.h>
#include <hx/process.h>

int main(int argc, char **argv)
{
    hx_printf("hello from %s\n", argv[0]);
    for (int i = 1; i < argc; i++) {
        hx_printf("argument %d: %s\n", i, argv[i]);
    }
    return 0;
}
