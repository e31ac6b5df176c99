/* SPDX-License-Identifier: MIT */
/* Queues: messages that nobody waits for, kept in order until somebody takes them.
 * Owns:      struct ipc_queue, its two ends, its slots, which are charged to the quota of its
 *            creator before the first message.
 * Callers:   system calls.     Context: thread of a process.
 * Locks:     none for messages (<core/ring.h>); readers.lock and writers.lock (rank WAIT) for those
 *            who wait.
 * Waiting:   who is about to wait says so (reading, writing), then looks at the ring once more, all
 *            under the lock; who has changed the ring looks afterwards whether somebody waits. With
 * a full fence on both sides one of the two sees the other. A reader that was woken too early, for
 * a message behind one that is still being written, goes back to sleep; so whoever takes a message
 * and leaves others wakes the next reader. Writers likewise. Invariant: (1) reading is the number
 * of entries on `readers` and of those about to enter, changed under its lock; writing the same.
 *            (2) a message is in the ring, or its sender has got a status that says it is not, or
 *            it is counted in `dropped`.
 *            (3) references counts open ends and threads that wait; memory goes a grace period
 *            after the last.
 */
#include "ipc_priv.h"

#include <core/execution.h>
#include <core/memory.h>
#include <core/quota.h>
#include <core/ring.h>
#include <core/syscall.h>
#include <core/trace.h>
#include <hal/context.h>
#include <helix/bits.h>
#include <helix/panic.h>

struct ipc_queue {
    struct object sender, receiver; /* the two ends */
    u32 references;                 /* a: inv 3 */
    u32 policy;                     /* I: enum hx_queue_policy */
    bool receiver_closed;           /* a */
    bool sender_closed;             /* a */
    u32 reading, writing;           /* a: inv 1 */
    u64 dropped;                    /* a */
    u64 id;                         /* I */
    struct quota *quota;            /* I: a reference */
    u64 charged;                    /* I: bytes */
    struct wait_queue readers, writers;
    struct ring ring;
    struct grace_callback free;
    struct ring_slot slots[];
};

static void queue_free(struct grace_callback *callback)
{
    kfree(HX_CONTAINER_OF(callback, struct ipc_queue, free));
}

static void queue_put(struct ipc_queue *queue)
{
    if (__atomic_sub_fetch(&queue->references, 1, __ATOMIC_ACQ_REL) == 0) {
        quota_uncharge(queue->quota, HX_QUOTA_MEMORY, queue->charged);
        quota_uncharge(queue->quota, HX_QUOTA_CHANNELS, 1);
        quota_put(queue->quota);
        grace_call(&queue->free, queue_free);
    }
}

static void receiver_closed(struct object *object)
{
    struct ipc_queue *queue = HX_CONTAINER_OF(object, struct ipc_queue, receiver);
    __atomic_store_n(&queue->receiver_closed, true, __ATOMIC_SEQ_CST);
    wait_wake_all(&queue->writers);
    wait_wake_all(&queue->readers); /* threads of its process that still wait */
    queue_put(queue);
}

static void sender_closed(struct object *object)
{
    struct ipc_queue *queue = HX_CONTAINER_OF(object, struct ipc_queue, sender);
    __atomic_store_n(&queue->sender_closed, true, __ATOMIC_SEQ_CST);
    wait_wake_all(&queue->readers);
    wait_wake_all(&queue->writers);
    queue_put(queue);
}

static enum hx_status queue_create(u64 slots, u64 policy, struct ipc_queue **out_queue)
{
    if (!hx_is_pow2(slots) || slots < 2 || slots > HX_QUEUE_SLOTS_MAX ||
        policy >= HX_QUEUE_POLICIES) {
        return HX_ERR_INVALID;
    }
    struct ipc_queue *queue;
    u64 size = sizeof(*queue) + slots * sizeof(struct ring_slot);
    struct quota *quota = task_current()->quota;
    enum hx_status status = quota_charge(quota, HX_QUOTA_CHANNELS, 1);
    if (status != HX_OK) {
        return status;
    }
    status = quota_charge(quota, HX_QUOTA_MEMORY, size);
    if (status != HX_OK) {
        goto out_channel;
    }
    queue = kzalloc(size);
    if (!queue) {
        status = HX_ERR_NO_MEMORY;
        goto out_memory;
    }
    object_init(&queue->sender, HX_OBJECT_QUEUE, sender_closed);
    object_init(&queue->receiver, HX_OBJECT_QUEUE_RECEIVER, receiver_closed);
    queue->references = 2;
    queue->policy = (u32)policy;
    queue->id = ipc_new_id();
    queue->quota = quota_get(quota);
    queue->charged = size;
    wait_queue_init(&queue->readers);
    wait_queue_init(&queue->writers);
    ring_init(&queue->ring, queue->slots, slots);
    *out_queue = queue;
    return HX_OK;

out_memory:
    quota_uncharge(quota, HX_QUOTA_MEMORY, size);
out_channel:
    quota_uncharge(quota, HX_QUOTA_CHANNELS, 1);
    return status;
}

s64 sys_queue_create(u64 slots, u64 policy, u64 handles_at, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct ipc_queue *queue = NULL;
    enum hx_status status = queue_create(slots, policy, &queue);
    return status == HX_OK ? ipc_answer_pair(&queue->receiver, HX_RIGHT_READ, &queue->sender,
                                             HX_RIGHT_WRITE, handles_at)
                           : (s64)status;
}

bool ipc_queue_is_closed(const struct object *object)
{
    return HX_READ_ONCE(HX_CONTAINER_OF(object, struct ipc_queue, sender)->receiver_closed);
}

/* A reference of one's own, for who is about to wait. False: both ends have closed meanwhile. */
static bool queue_get_try(struct ipc_queue *queue)
{
    u32 references = __atomic_load_n(&queue->references, __ATOMIC_RELAXED);
    while (references &&
           !__atomic_compare_exchange_n(&queue->references, &references, references + 1, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    }
    return references != 0;
}

/* waking: a full fence after the change of the ring, before the question who waits */

static HX_ALWAYS_INLINE void wake_one(struct wait_queue *waiters, const u32 *waiting)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (hx_unlikely(__atomic_load_n(waiting, __ATOMIC_RELAXED))) {
        u64 irqs = spin_lock_irq(&waiters->lock);
        wait_wake_one_locked(waiters);
        spin_unlock_irq(&waiters->lock, irqs);
    }
}

/* Puts a message in, dropping old ones where that is the policy. Interrupts masked. */
static bool push(struct ipc_queue *queue, const struct ring_message *message)
{
    while (hx_unlikely(!ring_push(&queue->ring, message))) {
        struct ring_message oldest;
        if (queue->policy != HX_QUEUE_DROP_OLDEST) {
            return false;
        }
        if (ring_pop(&queue->ring, &oldest)) {
            __atomic_fetch_add(&queue->dropped, 1, __ATOMIC_RELAXED);
            ipc_count(&ipc_stats.dropped);
            trace(TRACE_IPC, TRACE_IPC_LOST, queue->id, 1);
        }
    }
    ipc_count(&ipc_stats.sent);
    return true;
}

/* The ring may have room for another writer as well. */
static void after_push(struct ipc_queue *queue)
{
    wake_one(&queue->readers, &queue->reading);
    if (ring_length(&queue->ring) <= queue->ring.mask) {
        wake_one(&queue->writers, &queue->writing);
    }
}

static void after_pop(struct ipc_queue *queue)
{
    wake_one(&queue->writers, &queue->writing);
    if (ring_length(&queue->ring)) {
        wake_one(&queue->readers, &queue->reading);
    }
}

/* Waits until `step` succeeds on the queue, to which the caller holds a reference. Interrupts
 * masked before and after. */
static enum hx_status wait_for(struct ipc_queue *queue, struct wait_queue *waiters, u32 *waiting,
                               bool (*step)(struct ipc_queue *queue, struct ring_message *message),
                               struct ring_message *message, const bool *closed, u64 deadline_ns)
{
    enum hx_status status = HX_OK;
    while (status == HX_OK) {
        spin_lock(&waiters->lock);
        __atomic_fetch_add(waiting, 1, __ATOMIC_SEQ_CST);
        bool done = step(queue, message);
        if (done || __atomic_load_n(closed, __ATOMIC_SEQ_CST)) {
            __atomic_fetch_sub(waiting, 1, __ATOMIC_RELAXED);
            spin_unlock(&waiters->lock);
            return done ? HX_OK : HX_ERR_CLOSED;
        }
        status = wait_locked(waiters, deadline_ns);
        __atomic_fetch_sub(waiting, 1, __ATOMIC_RELAXED);
    }
    /* A wake-up may have come together with the deadline: pass it on. */
    wake_one(waiters, waiting);
    return status;
}

static bool step_push(struct ipc_queue *queue, struct ring_message *message)
{
    return !queue->receiver_closed && push(queue, message);
}

static bool step_pop(struct ipc_queue *queue, struct ring_message *message)
{
    return ring_pop(&queue->ring, message);
}

static HX_NOINLINE enum hx_status send_waiting(struct ipc_queue *queue,
                                               struct ring_message *message, u64 deadline_ns)
{
    if (!queue_get_try(queue)) {
        return HX_ERR_CLOSED;
    }
    enum hx_status status = wait_for(queue, &queue->writers, &queue->writing, step_push, message,
                                     &queue->receiver_closed, deadline_ns);
    if (status == HX_OK) {
        after_push(queue);
    }
    hal_irq_enable();
    queue_put(queue);
    return status;
}

s64 sys_queue_send(u64 handle, u64 header, u64 buffer, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct task *task = task_current();
    struct ring_message message;
    u64 deadline_ns = HX_DEADLINE_NEVER;
    enum hx_status status = ipc_event_in(header, buffer, message.data);
    if (status == HX_OK && (HX_MESSAGE_FLAGS(header) & HX_MESSAGE_TIMED)) {
        status = user_copy_in(&deadline_ns, buffer + offsetof(struct hx_message, deadline_ns),
                              sizeof(deadline_ns));
    }
    if (status != HX_OK) {
        return status;
    }
    message.header = header & ~((u64)HX_MESSAGE_TIMED << 32);
    message.source = ipc_source();
    struct object *object;
    hal_irq_disable();
    status =
        cap_check(task->handles, (hx_handle_t)handle, HX_OBJECT_QUEUE, HX_RIGHT_WRITE, &object);
    if (status != HX_OK) {
        hal_irq_enable();
        return status;
    }
    struct ipc_queue *queue = HX_CONTAINER_OF(object, struct ipc_queue, sender);
    trace(TRACE_IPC, TRACE_IPC_SEND, queue->id, HX_MESSAGE_LENGTH(header));
    if (hx_unlikely(queue->receiver_closed)) {
        status = HX_ERR_CLOSED;
    } else if (hx_likely(push(queue, &message))) {
        after_push(queue);
    } else if (queue->policy == HX_QUEUE_BLOCK) {
        status = send_waiting(queue, &message, deadline_ns);
    } else {
        status = HX_ERR_NO_SPACE;
        ipc_count(&ipc_stats.refused);
    }
    hal_irq_enable();
    return status;
}

static HX_NOINLINE enum hx_status receive_waiting(struct ipc_queue *queue,
                                                  struct ring_message *message, u64 deadline_ns)
{
    if (!queue_get_try(queue)) {
        return HX_ERR_CLOSED;
    }
    enum hx_status status = wait_for(queue, &queue->readers, &queue->reading, step_pop, message,
                                     &queue->sender_closed, deadline_ns);
    if (status == HX_OK) {
        after_pop(queue);
    }
    hal_irq_enable();
    queue_put(queue);
    return status;
}

s64 sys_queue_receive(u64 handle, u64 header, u64 buffer, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct task *task = task_current();
    struct ring_message message;
    u64 deadline_ns = HX_DEADLINE_NEVER;
    enum hx_status status = HX_OK;
    if (header & ~HX_MESSAGE_HEADER(0, HX_MESSAGE_TIMED, 0, 0)) {
        return HX_ERR_INVALID;
    }
    if (HX_MESSAGE_FLAGS(header) & HX_MESSAGE_TIMED) {
        status = user_copy_in(&deadline_ns, buffer + offsetof(struct hx_message, deadline_ns),
                              sizeof(deadline_ns));
        if (status != HX_OK) {
            return status;
        }
    }
    struct object *object;
    hal_irq_disable();
    status = cap_check(task->handles, (hx_handle_t)handle, HX_OBJECT_QUEUE_RECEIVER, HX_RIGHT_READ,
                       &object);
    if (status == HX_OK) {
        struct ipc_queue *queue = HX_CONTAINER_OF(object, struct ipc_queue, receiver);
        trace(TRACE_IPC, TRACE_IPC_RECEIVE, queue->id, 0);
        if (hx_likely(ring_pop(&queue->ring, &message))) {
            after_pop(queue);
        } else {
            status = receive_waiting(queue, &message, deadline_ns);
        }
    }
    hal_irq_enable();
    if (status != HX_OK) {
        return status;
    }
    ipc_count(&ipc_stats.received);
    return ipc_event_out(message.header, message.source, message.data, buffer);
}
