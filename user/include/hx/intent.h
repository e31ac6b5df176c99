/* SPDX-License-Identifier: MIT */
/* Intents: what a thread is for. The kernel answers whether it can keep what that asks of it, and
 * then keeps it. Without one a thread is Batch.
 */
#ifndef HX_INTENT_H
#define HX_INTENT_H

#include <abi/intent.h>
#include <helix/compiler.h>
#include <hx/syscall.h>

/* Gives a thread an intent. thread: a handle with HX_RIGHT_ADMIN, or HX_HANDLE_NONE: the caller.
 * right: needed for Realtime; see hx_intent_right(). *out_result says what was admitted, where and
 * with how much slack, or why not and what would fit. On failure the thread stays what it was.
 * Return: HX_OK; HX_ERR_INVALID; HX_ERR_NO_FIT, not admitted; HX_ERR_LIMIT, beyond the right;
 * HX_ERR_ACCESS; HX_ERR_BAD_HANDLE. Context: any thread. */
static inline HX_MUST_CHECK enum hx_status hx_intent_set(hx_handle_t thread,
                                                         const struct hx_intent *intent,
                                                         hx_handle_t right,
                                                         struct hx_intent_result *out_result)
{
    return (enum hx_status)hx_sys_intent_set(thread, intent, out_result, right);
}

/* The first right to be Realtime among the program's handles, HX_HANDLE_NONE: it has none. */
static inline hx_handle_t hx_intent_right(void)
{
    struct hx_handle_info info = {0};
    for (s64 index = 0; (index = hx_sys_handle_next((u64)index, &info)) >= 0;) {
        if (info.type == HX_OBJECT_REALTIME_RIGHT) {
            return info.handle;
        }
    }
    return HX_HANDLE_NONE;
}

#endif
