/* SPDX-License-Identifier: MIT */
/* false: does nothing, unsuccessfully.
 */
#include <hx/process.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
