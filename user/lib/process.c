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

enum hx_status hx_process_spawn_with(const char *path, int argc, const char *const *argv,
                                     const hx_handle_t *handles, u32 count,
                                     hx_handle_t *out_process)
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
    const struct hx_startup *startup = hx_startup();
    struct hx_spawn spawn = {
        .size = sizeof(spawn),
        .path = (u64)(uintptr_t)path,
        .path_length = strlen(path),
        .args = (u64)(uintptr_t)args,
        .args_length = used,
        .environment = (u64)(uintptr_t)(startup + 1) + startup->args_length,
        .environment_length = startup->environment_length,
        .handles = (u64)(uintptr_t)handles,
        .handle_count = count,
    };
    s64 result = hx_sys_process_start(&spawn, sizeof(spawn));
    if (result < 0) {
        return (enum hx_status)result;
    }
    *out_process = (hx_handle_t)result;
    return HX_OK;
}

enum hx_status hx_process_spawn(const char *path, int argc, const char *const *argv,
                                hx_handle_t *out_process)
{
    const hx_handle_t handles[] = {hx_standard(HX_STDIN), hx_standard(HX_STDOUT),
                                   hx_standard(HX_STDERR)};
    return hx_process_spawn_with(path, argc, argv, handles, 3, out_process);
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
