/* SPDX-License-Identifier: MIT */
/* Channels: a call and its reply, with the CPU handed from caller to receiver and back.
 * Owns:      struct ipc_channel and its two ends; every thread's struct ipc_thread and the calls.
 * Callers:   system calls; the fault path; the end of a thread.
 * Context:   thread of a process.
 * Locks:     channel.lock (rank IPC), with interrupts masked; below it run queues.
 *
 * A call:    idle -> QUEUED            call_slow(): no receiver waits
 *            idle | QUEUED -> TAKEN    hand_over(), receive_slow(): a thread serves it
 *            TAKEN -> DONE | DONE_IN_REGISTERS   answer(), reply_over(): the reply is there
 *            QUEUED -> idle            the caller gives up, or the server's end closes
 *            TAKEN -> ABANDONED        the caller gives up; the server finds out when it replies
 * Invariant: (1) state and channel of a call change under the lock of call.channel; a thread has at
 *            most one call of its own under way (ipc_thread.call) and serves at most one
 *            (ipc_thread.serving), which nobody else serves.
 *            (2) call.references is 1 for the caller's thread and 1 for who serves it.
 *            (3) channel.users counts calls from QUEUED or TAKEN to their answer, abandoned ones
 *            included, and receivers that wait; the memory goes a grace period after both ends are
 *            closed and users is 0. So a call that is under way keeps its channel.
 *            (4) a receiver is on channel.receivers iff its `arrival` is ARRIVAL_NONE.
 *            (5) a reply comes exactly once, or the caller gets a status that says why not:
 *            TIMED_OUT and CANCELLED by itself, CLOSED when the server's end closed before anybody
 *            took the call, DEAD_PEER when whoever took it ended.
 * Fast path: a receiver waiting on this CPU, no deadline, no handles: call_over() and reply_over(),
 *            whose thread parks (<hal/context.h>). With a short message that finds the other side
 *            parked as well they go straight to its user mode, registers to registers. Everything
 *            else is call_slow() and receive_slow(), which may begin again from the start because
 *            the fast path has changed nothing when it gives up. It does so while calls, messages
 * or switches are traced.
 */
#include "ipc_priv.h"

#include <core/execution.h>
#include <core/grace.h>
#include <core/memory.h>
#include <core/quota.h>
#include <core/sched.h>
#include <core/syscall.h>
#include <core/trace.h>
#include <hal/context.h>
#include <hal/events.h>
#include <helix/bits.h>
#include <helix/list.h>
#include <helix/panic.h>
#include <helix/string.h>

_Static_assert(HX_MESSAGE_WORDS == HAL_MESSAGE_WORDS, "a short message fits the registers");

struct ipc_stats ipc_stats;

struct ipc_channel {
    struct object server, client; /* the two ends */
    struct spinlock lock;
    struct list_node receivers; /* l: ipc_thread.node */
    struct list_node urgent;    /* l: ipc_call.node: nobody has taken them yet; with priority */
    struct list_node calls;     /* l: the same, the others */
    u32 queued;                 /* l: in both */
    u32 users;                  /* l: inv 3 */
    bool server_closed;         /* l */
    bool client_closed;         /* l */
    u64 id;                     /* I */
    u64 count;                  /* l: calls that were taken */
    struct quota *quota;        /* I: a reference */
    struct grace_callback free;
};

enum call_state {
    CALL_IDLE,
    CALL_QUEUED,
    CALL_TAKEN,
    CALL_ABANDONED,
    CALL_DONE,
    CALL_DONE_IN_REGISTERS /* the answer is in the caller's frame, its status included */
};

struct ipc_call {
    u32 state;                   /* l: inv 1 */
    u32 references;              /* l: inv 2 */
    struct ipc_channel *channel; /* l: of the present call */
    struct task *caller;         /* I: valid while QUEUED or TAKEN */
    struct list_node node;       /* l: on channel.calls */
    enum hx_status status;       /* l: of a call that is DONE */
    bool fault;                  /* I while under way: the caller's frame is no system call's */
    u64 header, source;          /* of the request, then of the answer */
    u32 cap_count;
    struct cap *caps[HX_MESSAGE_HANDLES]; /* on their way */
    u8 data[HX_MESSAGE_MAX] HX_ALIGNED(8);
};

enum arrival { ARRIVAL_NONE, ARRIVAL_MESSAGE, ARRIVAL_CLOSED };

/* A thread, as channels see it. */
struct ipc_thread {
    struct list_node node;       /* channel.lock: on channel.receivers */
    struct task *task;           /* I */
    struct ipc_call *call;       /* o: its own */
    struct ipc_call *serving;    /* o; while it waits, whoever hands over sets it, under the lock */
    u32 arrival;                 /* l: enum arrival */
    u32 parked;                  /* l: whether it parked when it last began to wait */
    struct ipc_channel *channel; /* o: of which it last waited for a call, parked */
    u64 source;                  /* I: id of its process */
};

/* A call that was put aside to be answered later, by whoever holds the handle. */
struct ipc_reply {
    struct object object;  /* first */
    struct ipc_call *call; /* a: taken by who answers first */
};

/* life */

static struct ipc_channel *channel_of_server(struct object *object)
{
    return HX_CONTAINER_OF(object, struct ipc_channel, server);
}

static struct ipc_channel *channel_of_client(struct object *object)
{
    return HX_CONTAINER_OF(object, struct ipc_channel, client);
}

struct ipc_channel *ipc_channel_of(struct object *object)
{
    return channel_of_client(object);
}

struct object *ipc_channel_object(struct ipc_channel *channel)
{
    return &channel->client;
}

static void channel_free(struct grace_callback *callback)
{
    struct ipc_channel *channel = HX_CONTAINER_OF(callback, struct ipc_channel, free);
    quota_put(channel->quota);
    kfree(channel);
}

/* Unlocks, and frees the channel if nothing holds it any more. inv 3. Interrupts masked. */
static void channel_unlock(struct ipc_channel *channel)
{
    bool last = channel->server_closed && channel->client_closed && channel->users == 0;
    spin_unlock(&channel->lock);
    if (hx_unlikely(last)) {
        quota_uncharge(channel->quota, HX_QUOTA_CHANNELS, 1);
        grace_call(&channel->free, channel_free);
    }
}

/* The call that is served next leaves the queue; NULL when there is none. */
static struct ipc_call *dequeue_locked(struct ipc_channel *channel)
{
    struct ipc_call *call = LIST_FIRST(&channel->urgent, struct ipc_call, node);
    call = call ? call : LIST_FIRST(&channel->calls, struct ipc_call, node);
    if (call) {
        list_remove(&call->node);
        channel->queued--;
    }
    return call;
}

static void wake_receivers_locked(struct ipc_channel *channel)
{
    struct ipc_thread *receiver;
    while ((receiver = LIST_FIRST(&channel->receivers, struct ipc_thread, node))) {
        list_remove(&receiver->node);
        channel->users--;
        struct task *task = receiver->task;
        __atomic_store_n(&receiver->arrival, ARRIVAL_CLOSED, __ATOMIC_RELEASE); /* inv 4 */
        sched_wake_masked(task);
    }
}

static void call_done_locked(struct ipc_call *call, enum hx_status status)
{
    struct task *caller = call->caller;
    call->status = status;
    __atomic_store_n(&call->state, CALL_DONE, __ATOMIC_RELEASE);
    sched_wake_masked(caller);
}

/* Nobody can receive any more: callers that nobody has served learn it. */
static HX_COLD void server_closed(struct object *object)
{
    struct ipc_channel *channel = channel_of_server(object);
    u64 irqs = spin_lock_irq(&channel->lock);
    channel->server_closed = true;
    wake_receivers_locked(channel);
    struct ipc_call *call;
    while ((call = dequeue_locked(channel))) {
        channel->users--;
        call_done_locked(call, HX_ERR_CLOSED);
    }
    channel_unlock(channel);
    hal_irq_restore(irqs);
}

/* Nobody can call any more: receivers learn it once nothing is left to serve. */
static HX_COLD void client_closed(struct object *object)
{
    struct ipc_channel *channel = channel_of_client(object);
    u64 irqs = spin_lock_irq(&channel->lock);
    channel->client_closed = true;
    wake_receivers_locked(channel);
    channel_unlock(channel);
    hal_irq_restore(irqs);
}

HX_COLD s64 sys_channel_create(u64 handles_at, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    struct quota *quota = task_current()->quota;
    enum hx_status status = quota_charge(quota, HX_QUOTA_CHANNELS, 1);
    if (status != HX_OK) {
        return status;
    }
    struct ipc_channel *channel = kzalloc(sizeof(*channel));
    if (!channel) {
        quota_uncharge(quota, HX_QUOTA_CHANNELS, 1);
        return HX_ERR_NO_MEMORY;
    }
    channel->quota = quota_get(quota);
    object_init(&channel->server, HX_OBJECT_CHANNEL_SERVER, server_closed);
    object_init(&channel->client, HX_OBJECT_CHANNEL, client_closed);
    channel->lock = (struct spinlock)SPINLOCK_INIT("channel", LOCK_RANK_IPC);
    list_init(&channel->receivers);
    list_init(&channel->urgent);
    list_init(&channel->calls);
    channel->id = ipc_new_id();
    return ipc_answer_pair(&channel->server, HX_RIGHT_READ, &channel->client, HX_RIGHT_WRITE,
                           handles_at);
}

bool ipc_channel_is_closed(const struct object *object)
{
    return HX_READ_ONCE(HX_CONTAINER_OF(object, struct ipc_channel, client)->server_closed);
}

/* threads */

static struct ipc_call *call_create(struct task *task)
{
    struct ipc_call *call = kzalloc(sizeof(*call));
    if (call) {
        call->caller = task;
        call->references = 1;
    }
    return call;
}

/* The current thread's, with a call that is idle. NULL: no memory. */
static struct ipc_thread *thread_ready(void)
{
    struct task *task = task_current();
    struct ipc_thread *ipc = task->ipc;
    if (!ipc) {
        ipc = kzalloc(sizeof(*ipc));
        if (!ipc) {
            return NULL;
        }
        ipc->task = task;
        ipc->source = execution_process_id();
        task->ipc = ipc;
    }
    if (!ipc->call) {
        ipc->call = call_create(task);
    }
    return ipc->call ? ipc : NULL;
}

static void caps_drop(struct ipc_call *call)
{
    for (u32 i = 0; i < call->cap_count; i++) {
        cap_drop(call->caps[i]);
    }
    call->cap_count = 0;
}

/* Drops a reference. Thread: no lock. inv 2 */
static void call_free_if(struct ipc_call *call, bool last)
{
    if (last) {
        caps_drop(call);
        kfree(call);
    }
}

/* Ends the service of a call: `call` has its answer in place if status is HX_OK.
 * Return: HX_OK; HX_ERR_CLOSED, the caller had given up. */
static enum hx_status answer(struct ipc_call *call, enum hx_status status)
{
    struct ipc_channel *channel = call->channel;
    u64 irqs = spin_lock_irq(&channel->lock);
    bool waits = call->state == CALL_TAKEN;
    if (waits) {
        call_done_locked(call, status);
    }
    channel->users--;
    bool last = --call->references == 0;
    ipc_count(&ipc_stats.answers);
    channel_unlock(channel);
    hal_irq_restore(irqs);
    call_free_if(call, last);
    return waits ? HX_OK : HX_ERR_CLOSED;
}

void ipc_thread_end(void)
{
    struct task *task = task_current();
    struct ipc_thread *ipc = task->ipc;
    if (!ipc) {
        return;
    }
    task->ipc = NULL;
    if (ipc->serving) {
        ipc_count(&ipc_stats.dead_peers);
        HX_IGNORE(answer(ipc->serving, HX_ERR_DEAD_PEER), "then nobody waits for it");
    }
    if (ipc->call) {
        call_free_if(ipc->call, true); /* idle: an abandoned one is not its own any more */
    }
    kfree(ipc);
}

/* what a message is made of */

static enum hx_status header_check(u64 header, u64 buffer)
{
    if ((header & ~MESSAGE_HEADER_MASK) || HX_MESSAGE_TYPE(header) >= HX_MESSAGE_TYPES ||
        HX_MESSAGE_TYPE(header) == HX_MESSAGE_FAULT) {
        return HX_ERR_INVALID;
    }
    if (HX_MESSAGE_LENGTH(header) > HX_MESSAGE_MAX ||
        HX_MESSAGE_HANDLE_COUNT(header) > HX_MESSAGE_HANDLES) {
        return HX_ERR_MESSAGE_SIZE;
    }
    bool memory = HX_MESSAGE_LENGTH(header) > HX_MESSAGE_SHORT || HX_MESSAGE_HANDLE_COUNT(header) ||
                  (HX_MESSAGE_FLAGS(header) & HX_MESSAGE_TIMED);
    return memory && !buffer ? HX_ERR_INVALID : HX_OK;
}

static struct hal_trap_frame *own_frame(void)
{
    return hal_user_frame(task_current()->stack_top);
}

/* Takes what the current thread sends into `call`: bytes, then handles. Nothing is taken on
 * failure. */
static enum hx_status message_in(struct ipc_call *call, u64 header, u64 buffer)
{
    u32 length = HX_MESSAGE_LENGTH(header), count = HX_MESSAGE_HANDLE_COUNT(header);
    enum hx_status status = HX_OK;
    if (length > HX_MESSAGE_SHORT) {
        status = user_copy_in(call->data, buffer + offsetof(struct hx_message, data), length);
    } else {
        hal_message_load(own_frame(), (u64 *)(void *)call->data);
    }
    if (status == HX_OK && count) {
        hx_handle_t handles[HX_MESSAGE_HANDLES];
        status = user_copy_in(handles, buffer + offsetof(struct hx_message, handles),
                              count * sizeof(handles[0]));
        if (status == HX_OK) {
            status = handle_take_many(task_current()->handles, handles, count, call->caps);
        }
        call->cap_count = status == HX_OK ? count : 0;
    }
    return status;
}

/* Gives the current thread what came in `call`; the handles become its process's. On failure they
 * are still in the call. */
static enum hx_status message_out(struct ipc_call *call, u64 buffer)
{
    struct hal_trap_frame *frame = own_frame();
    u32 length = HX_MESSAGE_LENGTH(call->header), count = call->cap_count;
    enum hx_status status = HX_OK;
    if ((length > HX_MESSAGE_SHORT || count) && !buffer) {
        return HX_ERR_MESSAGE_SIZE;
    }
    if (length > HX_MESSAGE_SHORT) {
        status = user_copy_out(buffer + offsetof(struct hx_message, data), call->data, length);
    } else {
        hal_message_store(frame, (const u64 *)(const void *)call->data);
    }
    if (status == HX_OK && count) {
        hx_handle_t handles[HX_MESSAGE_HANDLES];
        status = handle_give_many(task_current()->handles, call->caps, count, handles);
        if (status == HX_OK) {
            call->cap_count = 0;
            status = user_copy_out(buffer + offsetof(struct hx_message, handles), handles,
                                   count * sizeof(handles[0]));
        }
    }
    if (status == HX_OK) {
        hal_message_result(frame, HX_OK, call->header, call->source);
    }
    return status;
}

static enum hx_status deadline_in(u64 header, u64 buffer, u64 *out_ns)
{
    *out_ns = HX_DEADLINE_NEVER;
    if (!(HX_MESSAGE_FLAGS(header) & HX_MESSAGE_TIMED)) {
        return HX_OK;
    }
    return user_copy_in(out_ns, buffer + offsetof(struct hx_message, deadline_ns), sizeof(u64));
}

/* What a sender may say in a header, for the receiver's eyes. */
static u64 header_seen(u64 header, bool call)
{
    const u64 own = (u64)(HX_MESSAGE_TIMED | HX_MESSAGE_RESPOND) << 32;
    return (header & ~own) | (call ? (u64)HX_MESSAGE_RESPOND << 32 : 0);
}

/* waiting
 *
 * Whoever ends a wait may be the last to use the channel. So a waiter that has been woken looks at
 * its own state first, which says whether the channel still counts it (inv 3), and touches the
 * channel only then; interrupts stay masked in between, so that the memory stays.
 */

/* Says that the current task is about to block, on its kernel stack. The lock is held. */
static enum hx_status wait_prepare_locked(const struct ipc_deadline *deadline)
{
    task_current()->ipc->parked = false;
    if (HX_READ_ONCE(deadline->expired)) {
        return HX_ERR_TIMED_OUT;
    }
    return task_block_prepare(TASK_BLOCKED) ? HX_OK : HX_ERR_CANCELLED;
}

static bool call_is_over(const struct ipc_call *call)
{
    return __atomic_load_n(&call->state, __ATOMIC_ACQUIRE) >= CALL_DONE;
}

/* The current thread gives its call up. The lock is held. */
static void call_abandon_locked(struct ipc_channel *channel, struct ipc_thread *ipc)
{
    struct ipc_call *call = ipc->call;
    if (call->state == CALL_QUEUED) {
        list_remove(&call->node);
        channel->queued--;
        channel->users--;
    } else {
        call->state = CALL_ABANDONED;
        call->references--; /* never the last: it is being served */
        ipc->call = NULL;
    }
}

/* Waits until the current thread's call, which is under way, is over or given up. The lock is not
 * held; interrupts are masked. */
static enum hx_status call_wait(struct ipc_channel *channel, struct ipc_thread *ipc,
                                const struct ipc_deadline *deadline)
{
    struct ipc_call *call = ipc->call;
    while (!call_is_over(call)) {
        spin_lock(&channel->lock);
        if (call->state >= CALL_DONE) {
            spin_unlock(&channel->lock);
            break;
        }
        enum hx_status status = wait_prepare_locked(deadline);
        if (status != HX_OK) {
            call_abandon_locked(channel, ipc);
            channel_unlock(channel);
            return status;
        }
        spin_unlock(&channel->lock);
        task_block(TASK_BLOCKED);
    }
    return call->state == CALL_DONE ? call->status : HX_OK;
}

/* The receiver that waits first serves `call` from now on. The lock is held. */
static struct task *take_receiver_locked(struct ipc_channel *channel, struct ipc_call *call)
{
    struct ipc_thread *receiver = LIST_ENTRY(channel->receivers.next, struct ipc_thread, node);
    struct list_node *next = receiver->node.next;
    channel->receivers.next = next;
    next->prev = &channel->receivers;
    receiver->arrival =
        ARRIVAL_MESSAGE; /* inv 4; its use of the channel becomes the call's, inv 3 */
    receiver->serving = call;
    call->state = CALL_TAKEN;
    call->references = 2;
    call->channel = channel;
    channel->count++;
    return receiver->task;
}

/* Makes the call whose message is in ipc->call, and waits for its end. Interrupts masked, the lock
 * is held and given up. */
static enum hx_status call_make(struct ipc_channel *channel, struct ipc_thread *ipc,
                                const struct ipc_deadline *deadline)
{
    struct ipc_call *call = ipc->call;
    trace(TRACE_IPC, TRACE_IPC_CALL, channel->id, HX_MESSAGE_LENGTH(call->header));
    if (channel->server_closed) {
        spin_unlock(&channel->lock);
        return HX_ERR_CLOSED;
    }
    if (list_is_empty(&channel->receivers)) {
        bool urgent = HX_MESSAGE_FLAGS(call->header) & HX_MESSAGE_PRIORITY;
        call->channel = channel;
        call->state = CALL_QUEUED;
        channel->users++;
        channel->queued++;
        list_add_tail(urgent ? &channel->urgent : &channel->calls, &call->node);
        ipc_count(&ipc_stats.calls_queued);
        spin_unlock(&channel->lock);
        return call_wait(channel, ipc, deadline);
    }
    struct task *first = LIST_ENTRY(channel->receivers.next, struct ipc_thread, node)->task;
    struct cpu *cpu = cpu_this();
    bool handoff = sched_handoff_call_lock(cpu, ipc->task, first, false);
    struct task *to = take_receiver_locked(channel, call);
    ipc->parked = false;
    if (handoff) {
        spin_unlock(&channel->lock);
        sched_handoff_call(cpu, ipc->task, to);
    } else {
        sched_wake_masked(to);
        spin_unlock(&channel->lock);
    }
    return call_wait(channel, ipc, deadline);
}

/* The call is over: what came back goes to the program. Interrupts enabled. */
static HX_NOINLINE s64 call_end(struct ipc_thread *ipc, enum hx_status status, u64 buffer)
{
    struct ipc_call *call = ipc->call;
    if (!call) {
        return status; /* given up: what it carried is the server's */
    }
    bool in_registers = call->state == CALL_DONE_IN_REGISTERS;
    call->state = CALL_IDLE;
    if (in_registers) {
        return hal_syscall_result_get(own_frame());
    }
    if (status == HX_OK) {
        status = message_out(call, buffer);
    } else if (call->cap_count) { /* nobody got them: they stay here, under new names */
        hx_handle_t handles[HX_MESSAGE_HANDLES];
        u32 count = call->cap_count;
        if (handle_give_many(task_current()->handles, call->caps, count, handles) == HX_OK) {
            call->cap_count = 0;
            HX_IGNORE(user_copy_out(buffer + offsetof(struct hx_message, handles), handles,
                                    count * sizeof(handles[0])),
                      "the first status is what counts");
        }
    }
    caps_drop(call);
    return status;
}

static HX_NOINLINE s64 call_slow(u64 handle, u64 header, u64 buffer)
{
    hal_irq_enable();
    enum hx_status status = header_check(header, buffer);
    struct ipc_thread *ipc = status == HX_OK ? thread_ready() : NULL;
    struct ipc_deadline deadline;
    u64 deadline_ns;
    if (status == HX_OK && !ipc) {
        status = HX_ERR_NO_MEMORY;
    }
    if (status == HX_OK) {
        status = deadline_in(header, buffer, &deadline_ns);
    }
    if (status == HX_OK) {
        status = message_in(ipc->call, header, buffer);
    }
    if (status != HX_OK) {
        return status;
    }
    struct ipc_call *call = ipc->call;
    call->header = header_seen(header, true);
    call->source = ipc->source;
    ipc_deadline_begin(&deadline, deadline_ns);
    hal_irq_disable();
    struct object *object;
    status = cap_check(task_current()->handles, (hx_handle_t)handle, HX_OBJECT_CHANNEL,
                       HX_RIGHT_WRITE, &object);
    if (status == HX_OK) {
        struct ipc_channel *channel = channel_of_client(object);
        spin_lock(&channel->lock);
        status = call_make(channel, ipc, &deadline);
    }
    hal_irq_enable();
    ipc_deadline_end(&deadline);
    return call_end(ipc, status, buffer);
}

/* receiving */

/* The call that a receiver has got becomes its message. */
static s64 receive_finish(struct ipc_thread *ipc, u64 buffer)
{
    struct ipc_call *call = ipc->serving;
    enum hx_status status = message_out(call, buffer);
    if (status != HX_OK) { /* both sides learn it; the call cannot be served */
        ipc->serving = NULL;
        HX_IGNORE(answer(call, status), "then nobody waits for it");
    }
    return status;
}

/* Waits for a call, being on the list. The lock is not held; interrupts are masked. */
static enum hx_status receive_wait(struct ipc_channel *channel, struct ipc_thread *ipc,
                                   const struct ipc_deadline *deadline)
{
    while (__atomic_load_n(&ipc->arrival, __ATOMIC_ACQUIRE) == ARRIVAL_NONE) {
        spin_lock(&channel->lock);
        if (ipc->arrival != ARRIVAL_NONE) {
            spin_unlock(&channel->lock);
            break;
        }
        enum hx_status status = wait_prepare_locked(deadline);
        if (status != HX_OK) {
            list_remove(&ipc->node);
            ipc->arrival = ARRIVAL_CLOSED; /* inv 4 */
            channel->users--;
            channel_unlock(channel);
            return status;
        }
        spin_unlock(&channel->lock);
        task_block(TASK_BLOCKED);
    }
    return ipc->arrival == ARRIVAL_CLOSED ? HX_ERR_CLOSED : HX_OK;
}

/* What the wait ended with goes to the program. Interrupts masked. */
static HX_NOINLINE s64 receive_end(struct ipc_thread *ipc, enum hx_status status, u64 buffer)
{
    hal_irq_enable();
    if (status != HX_OK) {
        return status;
    }
    return receive_finish(ipc, buffer);
}

static HX_NOINLINE s64 receive_slow(u64 handle, u64 header, u64 buffer)
{
    hal_irq_enable();
    struct ipc_thread *ipc = thread_ready();
    struct ipc_deadline deadline;
    u64 deadline_ns;
    if (!ipc) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = deadline_in(header, buffer, &deadline_ns);
    if (status != HX_OK) {
        return status;
    }
    ipc_deadline_begin(&deadline, deadline_ns);
    hal_irq_disable();
    struct object *object;
    status = cap_check(task_current()->handles, (hx_handle_t)handle, HX_OBJECT_CHANNEL_SERVER,
                       HX_RIGHT_READ, &object);
    if (status == HX_OK) {
        struct ipc_channel *channel = channel_of_server(object);
        spin_lock(&channel->lock);
        struct ipc_call *call = dequeue_locked(channel);
        if (call) {
            call->state = CALL_TAKEN;
            call->references = 2;
            ipc->serving = call;
            ipc->arrival = ARRIVAL_MESSAGE;
            channel->count++;
            spin_unlock(&channel->lock);
        } else if (channel->client_closed || channel->server_closed) {
            spin_unlock(&channel->lock);
            status = HX_ERR_CLOSED;
        } else {
            ipc->arrival = ARRIVAL_NONE;
            channel->users++;
            list_add_tail(&channel->receivers, &ipc->node);
            spin_unlock(&channel->lock);
            status = receive_wait(channel, ipc, &deadline);
        }
    }
    s64 result = receive_end(ipc, status, buffer);
    ipc_deadline_end(&deadline);
    return result;
}

s64 sys_channel_receive(u64 handle, u64 header, u64 buffer, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    const struct ipc_thread *ipc = task_current()->ipc;
    if (ipc && ipc->serving) {
        return HX_ERR_BAD_STATE;
    }
    return header & ~HX_MESSAGE_HEADER(0, HX_MESSAGE_TIMED, 0, 0)
               ? HX_ERR_INVALID
               : receive_slow(handle, header, buffer);
}

/* replying */

/* Takes the answer in, and ends the call with it. What it refuses can be tried again. */
static enum hx_status reply_with(struct ipc_call *call, u64 header, u64 buffer)
{
    enum hx_status status = header_check(header, buffer);
    if (status != HX_OK) {
        return status;
    }
    caps_drop(call);
    status = message_in(call, header, buffer);
    if (status != HX_OK) {
        return status;
    }
    trace(TRACE_IPC, TRACE_IPC_REPLY, call->channel->id, HX_MESSAGE_LENGTH(header));
    call->header = header_seen(header, false);
    call->source = execution_process_id();
    return HX_OK;
}

s64 sys_channel_reply(u64 header, u64 buffer, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct ipc_thread *ipc = task_current()->ipc;
    struct ipc_call *call = ipc ? ipc->serving : NULL;
    if (!call) {
        return HX_ERR_BAD_STATE;
    }
    enum hx_status status = reply_with(call, header, buffer);
    if (status != HX_OK) {
        return status;
    }
    ipc->serving = NULL;
    return answer(call, HX_OK);
}

static HX_NOINLINE s64 reply_receive_slow(u64 handle, u64 header, u64 buffer)
{
    hal_irq_enable();
    struct ipc_thread *ipc = task_current()->ipc;
    if (!ipc || !ipc->serving) {
        return HX_ERR_BAD_STATE;
    }
    struct ipc_call *call = ipc->serving;
    enum hx_status status = reply_with(call, header, buffer);
    if (status != HX_OK) {
        return status;
    }
    ipc->serving = NULL;
    HX_IGNORE(answer(call, HX_OK), "a caller that gave up needs no answer");
    return receive_slow(handle, header, buffer);
}

/* answering later */

static void reply_destroy(struct object *object)
{
    struct ipc_reply *reply = HX_CONTAINER_OF(object, struct ipc_reply, object);
    if (reply->call) {
        ipc_count(&ipc_stats.dead_peers);
        HX_IGNORE(answer(reply->call, HX_ERR_DEAD_PEER), "then nobody waits for it");
    }
    kfree(reply);
}

s64 sys_reply_keep(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    struct ipc_thread *ipc = task_current()->ipc;
    if (!ipc || !ipc->serving) {
        return HX_ERR_BAD_STATE;
    }
    struct ipc_reply *reply = kzalloc(sizeof(*reply));
    if (!reply) {
        return HX_ERR_NO_MEMORY;
    }
    object_init(&reply->object, HX_OBJECT_REPLY, reply_destroy);
    object_get(&reply->object); /* another thread may close the handle at once */
    s64 handle = ipc_answer_handle(&reply->object, HX_RIGHT_WRITE | HX_RIGHTS_MOVE);
    if (handle < 0) {
        object_put(&reply->object);
        return handle; /* the thread serves it still */
    }
    struct ipc_call *call = ipc->serving;
    ipc->serving = NULL;
    u64 irqs = spin_lock_irq(&call->channel->lock);
    if (call->state == CALL_TAKEN) {
        sched_lend_end(call->caller); /* from here on the work is the server's own */
    }
    spin_unlock_irq(&call->channel->lock, irqs);
    __atomic_store_n(&reply->call, call, __ATOMIC_RELEASE);
    object_put(&reply->object);
    return handle;
}

s64 sys_reply_send(u64 handle, u64 header, u64 buffer, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct object *object;
    enum hx_status status = handle_get(task_current()->handles, (hx_handle_t)handle,
                                       HX_OBJECT_REPLY, HX_RIGHT_WRITE, &object);
    if (status != HX_OK) {
        return status;
    }
    struct ipc_reply *reply = HX_CONTAINER_OF(object, struct ipc_reply, object);
    struct ipc_call *call = __atomic_exchange_n(&reply->call, NULL, __ATOMIC_ACQ_REL);
    if (!call) {
        status = HX_ERR_BAD_STATE;
    } else {
        status = reply_with(call, header, buffer);
        if (status == HX_OK) {
            status = answer(call, HX_OK);
            HX_IGNORE(handle_close(task_current()->handles, (hx_handle_t)handle),
                      "another thread may have closed it");
        } else {
            __atomic_store_n(&reply->call, call, __ATOMIC_RELEASE);
        }
    }
    object_put(object);
    return status;
}

/* the fast path */

/* Headers that it takes: no handles, no deadline, no fault. */
#define FAST_HEADER HX_MESSAGE_HEADER(3, HX_MESSAGE_BROADCAST, 0, 0x7f)

static HX_ALWAYS_INLINE bool is_fast(u64 header)
{
    return !(header & ~FAST_HEADER) && (u8)header <= HX_MESSAGE_SHORT;
}

/* A long message without handles or deadline: in memory, and otherwise as fast. */
static HX_ALWAYS_INLINE bool is_long(u64 header)
{
    return !(header & ~(FAST_HEADER | 0xffff)) && (header & 0xffff) <= HX_MESSAGE_MAX;
}

/* What is traced is seen on the slow path alone. */
static HX_ALWAYS_INLINE bool is_traced(void)
{
    return trace_mask &
           (1u << TRACE_SYSCALL | 1u << TRACE_CALLS | 1u << TRACE_IPC | 1u << TRACE_SWITCH);
}

/* Hands the call over if a receiver waits on this CPU, and parks; else returns, and nothing has
 * been done. in_registers: the message is there still, and the receiver has to have parked; else it
 * is in ipc->call. Interrupts masked. */
static HX_ALWAYS_INLINE void call_over(struct task *task, struct ipc_thread *ipc, u64 handle,
                                       u64 header, bool in_registers)
{
    struct cpu *cpu = cpu_this();
    struct object *object;
    if (hx_unlikely(
            !cap_check_quick(task->handles, handle, HX_OBJECT_CHANNEL, HX_RIGHT_WRITE, &object))) {
        return;
    }
    struct ipc_channel *channel = channel_of_client(object);
    spin_lock(&channel->lock);
    const struct ipc_thread *receiver =
        LIST_ENTRY(channel->receivers.next, struct ipc_thread, node);
    if (hx_unlikely(list_is_empty(&channel->receivers) || (in_registers && !receiver->parked) ||
                    !sched_handoff_call_lock(cpu, task, receiver->task, true))) {
        spin_unlock(&channel->lock);
        return;
    }
    struct ipc_call *call = ipc->call;
    struct task *to = take_receiver_locked(channel, call);
    ipc->parked = true;
    if (!in_registers) {
        call->header = header_seen(header, true);
        call->source = ipc->source;
    }
    spin_unlock(&channel->lock);
    if (in_registers) {
        sched_handoff_call_user(cpu, task, to, header | (u64)HX_MESSAGE_RESPOND << 32, ipc->source);
    }
    sched_handoff_call_park(cpu, task, to);
}

/* A call has come back otherwise than with an answer for the registers. */
static HX_NOINLINE s64 call_return(struct ipc_thread *ipc, u64 buffer)
{
    const struct ipc_deadline never = {.expired = false};
    enum hx_status status = call_wait(ipc->call->channel, ipc, &never);
    hal_irq_enable();
    return call_end(ipc, status, buffer);
}

/* The fast path of a long message: if it can be had, and then as above. Else the slow path tries
 * again, and knows what to answer. */
static HX_NOINLINE HX_FLATTEN void call_long(struct task *task, struct ipc_thread *ipc, u64 handle,
                                             u64 header, u64 buffer)
{
    hal_irq_enable();
    enum hx_status status = user_copy_in(
        ipc->call->data, buffer + offsetof(struct hx_message, data), HX_MESSAGE_LENGTH(header));
    hal_irq_disable();
    if (hx_likely(status == HX_OK)) {
        call_over(task, ipc, handle, header, false);
    }
}

HX_FLATTEN void hal_event_channel_call(u64 handle, u64 header, u64 buffer)
{
    struct task *task = task_current();
    struct ipc_thread *ipc = task->ipc;
    if (hx_unlikely(is_traced() || !ipc || !ipc->call)) {
        return;
    }
    if (hx_likely(is_fast(header))) {
        call_over(task, ipc, handle, header, true);
    } else if (is_long(header)) {
        call_long(task, ipc, handle, header, buffer);
    }
}

s64 sys_channel_call(u64 handle, u64 header, u64 buffer, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    return call_slow(handle, header, buffer);
}

/* The current thread, which served `call`, waits for the next one instead. */
static HX_ALWAYS_INLINE void park_on_locked(struct ipc_channel *channel, struct ipc_thread *ipc,
                                            struct ipc_call *call, enum call_state state)
{
    call->state = state;
    call->references = 1;
    ipc->serving = NULL;
    ipc->channel = channel;
    ipc->arrival = ARRIVAL_NONE;
    ipc->parked = true;
    list_add_head(&channel->receivers, &ipc->node); /* its use takes the place of the call's */
}

/* The same with an answer for a caller that goes on in the kernel. The lock is given up. */
static HX_NOINLINE void reply_parked_locked(struct ipc_channel *channel, struct ipc_thread *ipc,
                                            struct ipc_call *call, u64 header, bool in_registers)
{
    if (in_registers) {
        struct hal_trap_frame *frame = hal_user_frame(call->caller->stack_top);
        hal_message_move(frame, own_frame());
        hal_message_result(frame, HX_OK, header, ipc->source);
    } else {
        call->header = header;
        call->source = ipc->source;
        call->status = HX_OK;
    }
    park_on_locked(channel, ipc, call, in_registers ? CALL_DONE_IN_REGISTERS : CALL_DONE);
    spin_unlock(&channel->lock);
}

/* Hands the answer and the CPU back to the caller, and parks until the next call; or returns, and
 * nothing has been done. in_registers: the answer is there still; else it is in `call`. Interrupts
 * masked. */
static HX_ALWAYS_INLINE void reply_over(struct task *task, struct ipc_thread *ipc,
                                        struct ipc_call *call, u64 handle, u64 header,
                                        bool in_registers)
{
    struct cpu *cpu = cpu_this();
    struct object *object;
    if (hx_unlikely(!cap_check_quick(task->handles, handle, HX_OBJECT_CHANNEL_SERVER, HX_RIGHT_READ,
                                     &object))) {
        return;
    }
    struct ipc_channel *channel = channel_of_server(object);
    if (hx_unlikely(call->channel != channel)) {
        return;
    }
    spin_lock(&channel->lock);
    struct task *to = call->caller;
    if (hx_unlikely(call->state != CALL_TAKEN || channel->queued || channel->client_closed ||
                    channel->server_closed || !sched_handoff_reply_lock(cpu, task, to))) {
        spin_unlock(&channel->lock);
        return;
    }
    if (in_registers && hx_likely(to->ipc->parked)) {
        park_on_locked(channel, ipc, call, CALL_IDLE);
        spin_unlock(&channel->lock);
        sched_handoff_reply_user(cpu, task, to, header, ipc->source);
    }
    reply_parked_locked(channel, ipc, call, header, in_registers);
    sched_handoff_reply_park(cpu, task, to);
}

static HX_NOINLINE s64 receive_return(struct ipc_thread *ipc, u64 buffer)
{
    const struct ipc_deadline never = {.expired = false};
    return receive_end(ipc, receive_wait(ipc->channel, ipc, &never), buffer);
}

static HX_NOINLINE HX_FLATTEN void reply_long(struct task *task, struct ipc_thread *ipc,
                                              struct ipc_call *call, u64 handle, u64 header,
                                              u64 buffer)
{
    if (HX_MESSAGE_LENGTH(header) > HX_MESSAGE_SHORT) {
        hal_irq_enable();
        enum hx_status status = user_copy_in(call->data, buffer + offsetof(struct hx_message, data),
                                             HX_MESSAGE_LENGTH(header));
        hal_irq_disable();
        if (hx_unlikely(status != HX_OK)) {
            return;
        }
    } else {
        hal_message_load(own_frame(), (u64 *)(void *)call->data);
    }
    reply_over(task, ipc, call, handle, header, false);
}

HX_FLATTEN void hal_event_channel_reply_receive(u64 handle, u64 header, u64 buffer)
{
    struct task *task = task_current();
    struct ipc_thread *ipc = task->ipc;
    struct ipc_call *call = ipc ? ipc->serving : NULL;
    if (hx_unlikely(is_traced() || !call)) {
        return;
    }
    if (hx_likely(is_fast(header) && !call->fault)) {
        reply_over(task, ipc, call, handle, header, true);
    } else if (is_long(header)) {
        reply_long(task, ipc, call, handle, header, buffer);
    }
}

s64 sys_channel_reply_receive(u64 handle, u64 header, u64 buffer, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    return reply_receive_slow(handle, header, buffer);
}

/* What came goes to the program, if that takes no more than its bytes. */
static HX_ALWAYS_INLINE bool message_out_quick(struct hal_trap_frame *frame,
                                               const struct ipc_call *call, u64 buffer)
{
    u32 length = HX_MESSAGE_LENGTH(call->header);
    if (call->cap_count) {
        return false;
    }
    if (length <= HX_MESSAGE_SHORT) {
        hal_message_store(frame, (const u64 *)(const void *)call->data);
    } else {
        hal_irq_enable();
        if (!buffer || user_copy_out(buffer + offsetof(struct hx_message, data), call->data,
                                     length) != HX_OK) {
            return false;
        }
    }
    hal_message_result(frame, HX_OK, call->header, call->source);
    return true;
}

HX_FLATTEN void hal_event_message_resumed(struct hal_trap_frame *frame)
{
    struct ipc_thread *ipc = task_current()->ipc;
    struct ipc_call *call = ipc->call;
    u64 buffer = hal_syscall_arg(frame, 2);
    s64 result;
    sched_finish_switch();
    if (call && call->state != CALL_IDLE) {
        if (hx_likely(call->state == CALL_DONE && call->status == HX_OK &&
                      message_out_quick(frame, call, buffer))) {
            call->state = CALL_IDLE;
            return;
        }
        result = call_return(ipc, buffer);
    } else {
        if (hx_likely(__atomic_load_n(&ipc->arrival, __ATOMIC_ACQUIRE) == ARRIVAL_MESSAGE &&
                      message_out_quick(frame, ipc->serving, buffer))) {
            return;
        }
        result = receive_return(ipc, buffer);
    }
    hal_syscall_result(frame, result);
}

/* faults */

static u64 fault_kind(const struct hal_trap *trap)
{
    switch (trap->kind) {
    case TRAP_PAGE_FAULT:
        return HX_FAULT_MEMORY;
    case TRAP_UNDEFINED:
    case TRAP_PROTECTION:
        return HX_FAULT_INSTRUCTION;
    case TRAP_DIVIDE:
    case TRAP_FLOAT:
        return HX_FAULT_ARITHMETIC;
    case TRAP_BREAKPOINT:
        return HX_FAULT_BREAKPOINT;
    case TRAP_ALIGNMENT:
        return HX_FAULT_ALIGNMENT;
    default:
        return HX_FAULT_OTHER;
    }
}

_Static_assert((int)ACCESS_READ == HX_FAULT_READ && (int)ACCESS_WRITE == HX_FAULT_WRITE &&
                   (int)ACCESS_EXECUTE == HX_FAULT_EXECUTE,
               "passed on as they are");

bool ipc_fault(struct ipc_channel *channel, struct hal_trap_frame *frame,
               const struct hal_trap *trap)
{
    struct ipc_thread *ipc = thread_ready();
    if (!ipc) {
        return false;
    }
    struct ipc_call *call = ipc->call;
    *(struct hx_fault *)(void *)call->data = (struct hx_fault){
        .kind = fault_kind(trap),
        .access = trap->access,
        .address = trap->address_valid ? trap->address : 0,
        .pc = hal_frame_pc(frame),
        .sp = hal_frame_sp(frame),
        .result = hal_user_frame_result(frame),
        .thread = task_current()->id,
        .code = trap->code,
    };
    call->header =
        HX_MESSAGE_HEADER(HX_MESSAGE_FAULT, HX_MESSAGE_RESPOND, 0, sizeof(struct hx_fault));
    call->source = ipc->source;
    call->fault = true;
    ipc_count(&ipc_stats.faults);
    const struct ipc_deadline never = {.expired = false};
    hal_irq_disable();
    spin_lock(&channel->lock);
    enum hx_status status = call_make(channel, ipc, &never);
    hal_irq_enable();
    if (!ipc->call) {
        return false;
    }
    call->state = CALL_IDLE;
    call->fault = false;
    const struct hx_fault_answer reply = *(const struct hx_fault_answer *)(const void *)call->data;
    caps_drop(call);
    if (status != HX_OK || HX_MESSAGE_LENGTH(call->header) < sizeof(reply) || reply.resume != 1) {
        return false;
    }
    hal_trap_frame_set_pc(frame, reply.pc);
    hal_user_frame_set_sp(frame, reply.sp);
    hal_user_frame_set_result(frame, reply.result);
    return true;
}
