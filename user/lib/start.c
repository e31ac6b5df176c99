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
