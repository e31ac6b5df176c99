/* SPDX-License-Identifier: MIT */
/* Processes: the wrappers of their calls.
 * Owns: nothing.   Context: any thread.
 */
#include <helix/string.h>
#include <hx/process.h>
#include <hx/syscall.h>

void hx_exit(int status)
{
    hx_sys_process_exit((u64)status & 0xff);
    __builtin_trap();
}

enum hx_status hx_process_spawn(const char *name, int argc, const char *const *argv,
                                hx_handle_t *out_process)
{
    char args[HX_ARGS_MAX];
    size_t used = 0, name_length = strlen(name);
    if (name_length > HX_NAME_MAX) {
        return HX_ERR_OVERFLOW;
    }
    for (int i = 0; i < argc; i++) {
        size_t length = strlen(argv[i]) + 1;
        if (length > sizeof(args) - used) {
            return HX_ERR_OVERFLOW;
        }
        memcpy(args + used, argv[i], length);
        used += length;
    }
    s64 result = hx_sys_process_spawn(name, name_length, args, used, 0);
    if (result < 0) {
        return (enum hx_status)result;
    }
    *out_process = (hx_handle_t)result;
    return HX_OK;
}

enum hx_status hx_process_wait(hx_handle_t process, u64 deadline_ns, u64 *out_status)
{
    return (enum hx_status)hx_sys_process_wait(process, deadline_ns, out_status);
}

enum hx_status hx_process_kill(hx_handle_t process)
{
    return (enum hx_status)hx_sys_process_kill(process, HX_EXIT_KILLED);
}

enum hx_status hx_handle_close(hx_handle_t handle)
{
    return (enum hx_status)hx_sys_handle_close(handle);
}
