/* SPDX-License-Identifier: MIT */
/* From the kernel's entry to main().
 * Owns:      nothing.        Caller: _start, once.       Context: the first thread.
 * Trust:     the kernel's block of arguments; whoever spawned us only chose the strings in it.
 */
#include <helix/string.h>
#include <hx/process.h>
#include <hx/syscall.h>
#include "tls.h"

void hx_start(char *arguments, u64 size) HX_NORETURN;

/* At a fixed place, so that nothing has to be remembered: a program without data stays without a
 * page of its own. */
const struct hx_startup *hx_startup(void)
{
    return (const struct hx_startup *)(uintptr_t)HX_STARTUP_ADDRESS;
}

hx_handle_t hx_standard(enum hx_standard which)
{
    return (u32)which < hx_startup()->handle_count ? hx_startup()->handles[which] : HX_HANDLE_NONE;
}

const char *hx_environment(const char *name)
{
    const struct hx_startup *startup = hx_startup();
    const char *at = (const char *)(startup + 1) + startup->args_length;
    const char *end = at + startup->environment_length;
    size_t length = strlen(name);
    for (; at < end; at += strlen(at) + 1) {
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            return at + length + 1;
        }
    }
    return NULL;
}

void hx_start(char *arguments, u64 size)
{
    int argc = 0;
    for (u64 at = 0; at < size; at++) {
        argc += arguments[at] == '\0';
    }
    /* On the stack, and no more: a program without data stays without a page of its own. */
    _Static_assert((HX_ARGS_MAX + 1) * sizeof(char *) <= HX_STACK_SIZE * 3 / 4, "argv must fit");
    char **argv = __builtin_alloca(((size_t)argc + 1) * sizeof(*argv));
    for (int i = 0; i < argc; i++) {
        argv[i] = arguments;
        arguments += strlen(arguments) + 1;
    }
    argv[argc] = NULL;
    if (tls_size() && hx_sys_thread_tls_set(tls_init(__tls_main)) < 0) {
        hx_exit(255);
    }
    hx_exit(main(argc, argv));
}
