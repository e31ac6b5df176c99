/* SPDX-License-Identifier: MIT */
/* Topics: the event bus. An event is written once, into the topic's log; subscribers read it there,
 * each at its own cursor. So a publisher pays the same for none or a thousand subscribers, but for
 * waking those that wait, and a slow one loses events instead of holding anybody up.
 * Owns:      struct ipc_topic and its log, charged to its creator; subscriptions.
 * Callers:   system calls.     Context: thread of a process.
 * Locks:     topic->readers.lock (rank WAIT) for log and cursors: it is also what readers wait on.
 * Invariant: (1) the log holds the events from `next` - slots (at least 0) to `next` - 1, each in
 *            slot sequence & mask.
 *            (2) for every subscriber: delivered + gap + merged events counted = cursor - the
 *            sequence at which it subscribed. So what was published is delivered, or seen as lost.
 *            (3) references counts the topic's handles as one, and subscriptions.
 */
#include "ipc_priv.h"

#include <core/bus.h>
#include <core/memory.h>
#include <core/quota.h>
#include <core/syscall.h>
#include <core/trace.h>
#include <hal/context.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>

struct topic_slot {
    u64 key;
    u64 header, source;
    u64 data[HX_MESSAGE_MAX / 8];
};

struct ipc_topic {
    struct object object; /* what handles name */
    u32 references;       /* a: inv 3 */
    bool closed;          /* readers.lock: nobody can publish any more */
    u64 next;             /* readers.lock: sequence of the next event */
    u64 mask;             /* I: slots - 1 */
    u64 id;               /* I */
    struct quota *quota;  /* I: a reference */
    u64 charged;          /* I: bytes */
    struct wait_queue readers;
    struct grace_callback free;
    struct topic_slot slots[];
};

struct ipc_subscription {
    struct object object;    /* first */
    struct ipc_topic *topic; /* I: a reference */
    u32 delivery;            /* I: enum hx_delivery */
    u64 cursor;              /* topic's lock: the next event to look at */
    u64 gap, merged;         /* topic's lock: since the last event that was delivered */
};

static struct {
    const struct bus_delivery_ops *deliveries[HX_DELIVERIES]; /* a */
} bus = {.deliveries = {
             [HX_DELIVER_DROP_OLDEST] = &bus_drop_oldest, [HX_DELIVER_COALESCE] = &bus_coalesce}};

enum hx_status bus_delivery_check(const struct bus_delivery_ops *ops)
{
    return ops->abi_version == BUS_DELIVERY_ABI && ops->size == sizeof(*ops) && ops->choose
               ? HX_OK
               : HX_ERR_ABI;
}

const struct bus_delivery_ops *bus_delivery_get(u32 delivery)
{
    return __atomic_load_n(&bus.deliveries[delivery], __ATOMIC_ACQUIRE);
}

enum hx_status bus_delivery_set(u32 delivery, const struct bus_delivery_ops *ops)
{
    if (delivery >= HX_DELIVERIES || bus_delivery_check(ops) != HX_OK) {
        return HX_ERR_ABI;
    }
    __atomic_store_n(&bus.deliveries[delivery], ops, __ATOMIC_RELEASE);
    return HX_OK;
}

static void topic_free(struct grace_callback *callback)
{
    kfree(HX_CONTAINER_OF(callback, struct ipc_topic, free));
}

static void topic_put(struct ipc_topic *topic)
{
    if (__atomic_sub_fetch(&topic->references, 1, __ATOMIC_ACQ_REL) == 0) {
        quota_uncharge(topic->quota, HX_QUOTA_MEMORY, topic->charged);
        quota_uncharge(topic->quota, HX_QUOTA_CHANNELS, 1);
        quota_put(topic->quota);
        grace_call(&topic->free, topic_free);
    }
}

static HX_COLD void topic_closed(struct object *object)
{
    struct ipc_topic *topic = HX_CONTAINER_OF(object, struct ipc_topic, object);
    u64 irqs = spin_lock_irq(&topic->readers.lock);
    topic->closed = true;
    wait_wake_all_locked(&topic->readers);
    spin_unlock_irq(&topic->readers.lock, irqs);
    topic_put(topic);
}

static HX_COLD void subscription_closed(struct object *object)
{
    struct ipc_subscription *subscription =
        HX_CONTAINER_OF(object, struct ipc_subscription, object);
    topic_put(subscription->topic);
    object_free(object);
}

static enum hx_status topic_create(u64 slots, struct ipc_topic **out_topic)
{
    if (!hx_is_pow2(slots) || slots > HX_TOPIC_SLOTS_MAX) {
        return HX_ERR_INVALID;
    }
    struct ipc_topic *topic;
    u64 size = sizeof(*topic) + slots * sizeof(struct topic_slot);
    struct quota *quota = task_current()->quota;
    enum hx_status status = quota_charge(quota, HX_QUOTA_CHANNELS, 1);
    if (status != HX_OK) {
        return status;
    }
    status = quota_charge(quota, HX_QUOTA_MEMORY, size);
    if (status != HX_OK) {
        goto out_channel;
    }
    topic = kzalloc(size);
    if (!topic) {
        status = HX_ERR_NO_MEMORY;
        goto out_memory;
    }
    object_init(&topic->object, HX_OBJECT_TOPIC, topic_closed);
    topic->references = 1;
    topic->mask = slots - 1;
    topic->id = ipc_new_id();
    topic->quota = quota_get(quota);
    topic->charged = size;
    wait_queue_init(&topic->readers);
    *out_topic = topic;
    return HX_OK;

out_memory:
    quota_uncharge(quota, HX_QUOTA_MEMORY, size);
out_channel:
    quota_uncharge(quota, HX_QUOTA_CHANNELS, 1);
    return status;
}

HX_COLD s64 sys_topic_create(u64 slots, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    struct ipc_topic *topic = NULL;
    enum hx_status status = topic_create(slots, &topic);
    return status == HX_OK
               ? ipc_answer_handle(&topic->object, HX_RIGHT_READ | HX_RIGHT_WRITE | HX_RIGHTS_MOVE)
               : (s64)status;
}

/* Makes room for the next event and gives its slot. The lock is held; publish() follows. */
static HX_ALWAYS_INLINE struct topic_slot *topic_slot_next(struct ipc_topic *topic, u64 header,
                                                           u64 key)
{
    struct topic_slot *slot = &topic->slots[topic->next & topic->mask];
    slot->key = key;
    slot->header = header;
    slot->source = ipc_source();
    return slot;
}

static HX_ALWAYS_INLINE void topic_publish(struct ipc_topic *topic, u64 header)
{
    trace(TRACE_IPC, TRACE_IPC_PUBLISH, topic->id, HX_MESSAGE_LENGTH(header));
    topic->next++;
    ipc_count(&ipc_stats.published);
    if (hx_unlikely(!wait_queue_is_empty_locked(&topic->readers))) {
        wait_wake_all_locked(&topic->readers);
    }
}

static HX_NOINLINE s64 publish_long(u64 handle, u64 header, u64 key, u64 buffer)
{
    u64 data[HX_MESSAGE_MAX / 8];
    enum hx_status status = ipc_event_in(header, buffer, data);
    struct object *object;
    if (status != HX_OK) {
        return status;
    }
    hal_irq_disable();
    status = cap_check(task_current()->handles, (hx_handle_t)handle, HX_OBJECT_TOPIC,
                       HX_RIGHT_WRITE, &object);
    if (status == HX_OK) {
        struct ipc_topic *topic = HX_CONTAINER_OF(object, struct ipc_topic, object);
        spin_lock(&topic->readers.lock);
        struct topic_slot *slot = topic_slot_next(topic, header, key);
        memcpy(slot->data, data, HX_MESSAGE_LENGTH(header));
        topic_publish(topic, header);
        spin_unlock(&topic->readers.lock);
    }
    hal_irq_enable();
    return status;
}

/* A short event goes from the registers to its slot. */
s64 sys_topic_publish(u64 handle, u64 header, u64 key, u64 buffer, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    struct task *task = task_current();
    struct object *object;
    if (hx_unlikely((header & ~HX_MESSAGE_HEADER(3, HX_MESSAGE_FLAGS_ALL, 0, 0x7f)) ||
                    HX_MESSAGE_LENGTH(header) > HX_MESSAGE_SHORT)) {
        return publish_long(handle, header, key, buffer);
    }
    hal_irq_disable();
    enum hx_status status =
        cap_check(task->handles, (hx_handle_t)handle, HX_OBJECT_TOPIC, HX_RIGHT_WRITE, &object);
    if (hx_likely(status == HX_OK)) {
        struct ipc_topic *topic = HX_CONTAINER_OF(object, struct ipc_topic, object);
        spin_lock(&topic->readers.lock);
        hal_message_load(hal_user_frame(task->stack_top),
                         topic_slot_next(topic, header, key)->data);
        topic_publish(topic, header);
        spin_unlock(&topic->readers.lock);
    }
    hal_irq_enable();
    return status;
}

HX_COLD s64 sys_topic_subscribe(u64 handle, u64 delivery, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    if (delivery >= HX_DELIVERIES) {
        return HX_ERR_INVALID;
    }
    struct object *object;
    enum hx_status status = handle_get(task_current()->handles, (hx_handle_t)handle,
                                       HX_OBJECT_TOPIC, HX_RIGHT_READ, &object);
    if (status != HX_OK) {
        return status;
    }
    struct ipc_topic *topic = HX_CONTAINER_OF(object, struct ipc_topic, object);
    struct ipc_subscription *subscription = kzalloc(sizeof(*subscription));
    if (subscription) {
        object_init(&subscription->object, HX_OBJECT_SUBSCRIPTION, subscription_closed);
        __atomic_fetch_add(&topic->references, 1, __ATOMIC_RELAXED);
        subscription->topic = topic;
        subscription->delivery = (u32)delivery;
        u64 irqs = spin_lock_irq(&topic->readers.lock);
        subscription->cursor = topic->next;
        spin_unlock_irq(&topic->readers.lock, irqs);
    }
    object_put(object);
    return subscription ? ipc_answer_handle(&subscription->object, HX_RIGHT_READ | HX_RIGHTS_MOVE)
                        : HX_ERR_NO_MEMORY;
}

/* One step of a subscriber: the event at its cursor, which is there, into `out`, or past it. The
 * lock is held. */
static bool take_locked(struct ipc_subscription *s, struct hx_event *out)
{
    struct ipc_topic *topic = s->topic;
    u64 slots = topic->mask + 1;
    struct bus_view view = {.next = topic->next,
                            .keys = (const u8 *)&topic->slots[0].key,
                            .mask = topic->mask,
                            .stride = sizeof(struct topic_slot)};
    view.first = view.next > slots ? view.next - slots : 0; /* inv 1 */
    if (s->cursor < view.first) {
        s->gap += view.first - s->cursor;
        s->cursor = view.first;
        ipc_count(&ipc_stats.gaps);
    }
    const struct bus_delivery_ops *ops = bus_delivery_get(s->delivery);
    u64 sequence = s->cursor++;
    if (ops->choose(&view, sequence) == BUS_SKIP && sequence + 1 < view.next) {
        s->merged++;
        ipc_count(&ipc_stats.merged);
        return false;
    }
    const struct topic_slot *slot = &topic->slots[sequence & topic->mask];
    *out = (struct hx_event){.sequence = sequence,
                             .gap = s->gap,
                             .merged = s->merged,
                             .key = slot->key,
                             .source = slot->source,
                             .length = HX_MESSAGE_LENGTH(slot->header)};
    memcpy(out->data, slot->data, out->length);
    s->gap = s->merged = 0;
    ipc_count(&ipc_stats.delivered);
    return true;
}

/* Waits for an event. Interrupts are masked during a step only. */
static enum hx_status topic_read(struct ipc_subscription *s, u64 deadline_ns, struct hx_event *out)
{
    struct ipc_topic *topic = s->topic;
    for (;;) {
        enum hx_status status = HX_OK;
        bool done = false;
        u64 irqs = spin_lock_irq(&topic->readers.lock);
        if (s->cursor < topic->next) {
            done = take_locked(s, out);
            spin_unlock(&topic->readers.lock);
        } else if (topic->closed) {
            spin_unlock(&topic->readers.lock);
            status = HX_ERR_CLOSED;
        } else {
            status = wait_locked(&topic->readers, deadline_ns);
        }
        hal_irq_restore(irqs);
        if (done || status != HX_OK) {
            return status;
        }
    }
}

s64 sys_topic_read(u64 handle, u64 event_at, u64 deadline_ns, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct hx_event event;
    struct object *object;
    enum hx_status status = handle_get(task_current()->handles, (hx_handle_t)handle,
                                       HX_OBJECT_SUBSCRIPTION, HX_RIGHT_READ, &object);
    if (status != HX_OK) {
        return status;
    }
    status =
        topic_read(HX_CONTAINER_OF(object, struct ipc_subscription, object), deadline_ns, &event);
    object_put(object);
    return status == HX_OK ? (s64)user_copy_out(event_at, &event,
                                                offsetof(struct hx_event, data) + event.length)
                           : (s64)status;
}
