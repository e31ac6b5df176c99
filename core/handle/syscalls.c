/* SPDX-License-Identifier: MIT */
/* The system calls about handles, and how much a program may have.
 * Context: thread of a process.
 */
#include <core/handle.h>
#include <core/memory.h>
#include <core/syscall.h>
#include <core/task.h>

static s64 answer(enum hx_status status, hx_handle_t handle)
{
    return status == HX_OK ? (s64)handle : (s64)status;
}

s64 sys_handle_close(u64 handle, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    return handle_close(task_current()->handles, (hx_handle_t)handle);
}

s64 sys_handle_duplicate(u64 handle, u64 rights, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    hx_handle_t made = HX_HANDLE_NONE;
    enum hx_status status =
        handle_duplicate(task_current()->handles, (hx_handle_t)handle, (u32)rights, &made);
    return answer(status, made);
}

s64 sys_handle_derive(u64 handle, u64 rights, u64 expires_ns, u64 flags, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    hx_handle_t made = HX_HANDLE_NONE;
    enum hx_status status = handle_derive(task_current()->handles, (hx_handle_t)handle, (u32)rights,
                                          expires_ns, flags & HX_DERIVE_EXCLUSIVE, &made);
    return answer(status, made);
}

s64 sys_handle_revoke(u64 handle, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    return handle_revoke(task_current()->handles, (hx_handle_t)handle);
}

s64 sys_handle_info(u64 handle, u64 info_at, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct hx_handle_info info;
    _Static_assert(sizeof(info) == 40, "the table of calls says so");
    enum hx_status status = handle_info(task_current()->handles, (hx_handle_t)handle, &info);
    return status == HX_OK ? user_copy_out(info_at, &info, sizeof(info)) : status;
}

s64 sys_handle_next(u64 index, u64 info_at, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct hx_handle_info info;
    u32 cursor = index < HANDLE_TABLE_MAX ? (u32)index : HANDLE_TABLE_MAX;
    enum hx_status status = handle_next(task_current()->handles, &cursor, &info);
    if (status == HX_OK) {
        status = user_copy_out(info_at, &info, sizeof(info));
    }
    return answer(status, cursor);
}

s64 sys_quota_read(u64 kind, u64 count_at, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    _Static_assert(sizeof(struct hx_quota_count) == 24, "the table of calls says so");
    if (kind >= HX_QUOTA_COUNT) {
        return HX_ERR_INVALID;
    }
    const struct quota_count *count = &task_current()->quota->counts[kind];
    struct hx_quota_count answered = {.used = HX_READ_ONCE(count->used),
                                      .limit = HX_READ_ONCE(count->limit),
                                      .peak = HX_READ_ONCE(count->peak)};
    return user_copy_out(count_at, &answered, sizeof(answered));
}
