/* SPDX-License-Identifier: MIT */
/* The wrapper of the system object's call.
 * Owns: nothing.   Context: any thread.
 */
#include <helix/string.h>
#include <hx/syscall.h>
#include <hx/system.h>

enum hx_status hx_system_command(hx_handle_t system, int argc, const char *const *argv,
                                 hx_handle_t output, int *out_status)
{
    char args[HX_ARGS_MAX];
    size_t used = 0;
    for (int i = 0; i < argc; i++) {
        size_t length = strlen(argv[i]) + 1;
        if (length > sizeof(args) - used) {
            return HX_ERR_OVERFLOW;
        }
        memcpy(args + used, argv[i], length);
        used += length;
    }
    s64 result = hx_sys_system_command(system, args, used, output);
    if (result < 0) {
        return (enum hx_status)result;
    }
    *out_status = (int)result;
    return HX_OK;
}
