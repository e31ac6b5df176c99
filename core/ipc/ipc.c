/* SPDX-License-Identifier: MIT */
/* What channels, queues and topics share: deadlines, ids, handles as answers.
 * Context:   thread of a process.
 */
#include "ipc_priv.h"

#include <core/execution.h>
#include <core/memory.h>
#include <core/sched.h>
#include <hal/context.h>

static u64 last_id; /* a */

u64 ipc_new_id(void)
{
    return __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
}

s64 ipc_answer_handle(struct object *object, u32 rights)
{
    hx_handle_t handle;
    enum hx_status status = handle_add(task_current()->handles, object, rights, &handle);
    if (status != HX_OK) {
        object_put(object);
        return status;
    }
    return handle;
}

s64 ipc_answer_pair(struct object *first, u32 first_rights, struct object *second,
                    u32 second_rights, vaddr_t user)
{
    struct handle_table *table = task_current()->handles;
    s64 one = ipc_answer_handle(first, first_rights | HX_RIGHTS_MOVE);
    if (one < 0) {
        object_put(second);
        return one;
    }
    s64 two = ipc_answer_handle(second, second_rights | HX_RIGHTS_MOVE);
    hx_handle_t handles[] = {(hx_handle_t)one, (hx_handle_t)two};
    enum hx_status status =
        two < 0 ? (enum hx_status)two : user_copy_out(user, handles, sizeof(handles));
    if (status != HX_OK) {
        HX_IGNORE(handle_close(table, handles[0]), "another thread may have closed it");
        if (two >= 0) {
            HX_IGNORE(handle_close(table, handles[1]), "another thread may have closed it");
        }
    }
    return status;
}

enum hx_status ipc_event_in(u64 header, vaddr_t buffer, u64 *out_words)
{
    u32 length = HX_MESSAGE_LENGTH(header);
    if ((header & ~MESSAGE_HEADER_MASK) || HX_MESSAGE_HANDLE_COUNT(header) ||
        HX_MESSAGE_TYPE(header) >= HX_MESSAGE_FAULT) {
        return HX_ERR_INVALID;
    }
    if (hx_likely(length <= HX_MESSAGE_SHORT)) {
        hal_message_load(hal_user_frame(task_current()->stack_top), out_words);
        return HX_OK;
    }
    return length > HX_MESSAGE_MAX
               ? HX_ERR_MESSAGE_SIZE
               : user_copy_in(out_words, buffer + offsetof(struct hx_message, data), length);
}

enum hx_status ipc_event_out(u64 header, u64 source, const u64 *words, vaddr_t buffer)
{
    struct hal_trap_frame *frame = hal_user_frame(task_current()->stack_top);
    u32 length = HX_MESSAGE_LENGTH(header);
    enum hx_status status = HX_OK;
    if (length <= HX_MESSAGE_SHORT) {
        hal_message_store(frame, words);
    } else if (buffer) {
        status = user_copy_out(buffer + offsetof(struct hx_message, data), words, length);
    } else {
        status = HX_ERR_MESSAGE_SIZE;
    }
    if (status == HX_OK) {
        hal_message_result(frame, HX_OK, header, source);
    }
    return status;
}

u64 ipc_source(void)
{
    return execution_process_id();
}

static void deadline_expired(struct timer *timer)
{
    struct ipc_deadline *deadline = HX_CONTAINER_OF(timer, struct ipc_deadline, timer);
    __atomic_store_n(&deadline->expired, true, __ATOMIC_RELEASE);
    sched_wake(deadline->task);
}

void ipc_deadline_begin(struct ipc_deadline *deadline, u64 ns)
{
    *deadline = (struct ipc_deadline){.timer.expired = deadline_expired, .task = task_current()};
    deadline->armed = ns != HX_DEADLINE_NEVER;
    if (deadline->armed && ns <= time_now_ns()) {
        deadline->expired = true;
        deadline->armed = false;
    }
    if (deadline->armed) {
        timer_start(&deadline->timer, ns);
    }
}

void ipc_deadline_end(struct ipc_deadline *deadline)
{
    if (deadline->armed) {
        timer_cancel(&deadline->timer);
    }
}

bool ipc_object_is_closed(const struct object *object)
{
    switch (object->type) {
    case HX_OBJECT_CHANNEL:
        return ipc_channel_is_closed(object);
    case HX_OBJECT_QUEUE:
        return ipc_queue_is_closed(object);
    default:
        return false;
    }
}

enum hx_status ipc_cap_copy(struct cap *cap, struct cap **out_cap)
{
    object_get(cap->object);
    enum hx_status status = cap_duplicate(cap, cap->grant & HX_RIGHTS_ALL, out_cap);
    object_put(cap->object);
    return status;
}

const char *ipc_type_name(u32 type)
{
    switch (type) {
    case HX_OBJECT_PROCESS:
        return "process";
    case HX_OBJECT_THREAD:
        return "thread";
    case HX_OBJECT_CHANNEL:
    case HX_OBJECT_CHANNEL_SERVER:
        return "channel";
    case HX_OBJECT_QUEUE:
    case HX_OBJECT_QUEUE_RECEIVER:
        return "queue";
    case HX_OBJECT_TOPIC:
        return "topic";
    case HX_OBJECT_REGISTRY:
        return "registry";
    default:
        return "other";
    }
}
