/* SPDX-License-Identifier: MIT */
/* Talking to other processes. A channel carries calls: the caller waits for the reply, and the CPU
 * goes straight to the server and back. A queue keeps messages that nobody waits for, in order. A
 * topic is for many readers, who may miss what they are too slow for, and see that they did. The
 * registry finds all of them by name.
 *
 * A message is a struct hx_message of <abi/ipc.h>. Up to 64 bytes of it cost next to nothing.
 * Context of all: any thread. Every call may also say HX_ERR_BAD_HANDLE, HX_ERR_ACCESS (the handle
 * lacks the right), HX_ERR_REVOKED, HX_ERR_FAULT, HX_ERR_INVALID and HX_ERR_NO_MEMORY.
 */
#ifndef HX_IPC_H
#define HX_IPC_H

#include <abi/ipc.h>
#include <helix/compiler.h>
#include <helix/string.h>
#include <hx/syscall.h>

/* Prepares a message of `length` bytes, which are still to be written to m->data. */
static inline void hx_message_begin(struct hx_message *m, enum hx_message_type type, size_t length)
{
    m->header = HX_MESSAGE_HEADER(type, 0, 0, length);
}

/* One of the bytes given. length: at most HX_MESSAGE_MAX. */
static inline void hx_message_set(struct hx_message *m, enum hx_message_type type,
                                  const void *bytes, size_t length)
{
    hx_message_begin(m, type, length);
    memcpy(m->data, bytes, length);
}

/* Lets the call that this message goes into wait until deadline_ns at most. */
static inline void hx_message_deadline(struct hx_message *m, u64 deadline_ns)
{
    m->header |= (u64)HX_MESSAGE_TIMED << 32;
    m->deadline_ns = deadline_ns;
}

/* Adds a handle (with HX_RIGHT_TRANSFER), which the receiver gets and this process loses. At most
 * HX_MESSAGE_HANDLES, in channels only. */
static inline void hx_message_add_handle(struct hx_message *m, hx_handle_t handle)
{
    m->handles[HX_MESSAGE_HANDLE_COUNT(m->header)] = handle;
    m->header += 1u << 16;
}

static HX_ALWAYS_INLINE enum hx_status hx_message_call(u64 number, hx_handle_t handle,
                                                       struct hx_message *m)
{
    u64 header = m->header, source = (u64)(uintptr_t)m;
    s64 status = hx_syscall_message(number, handle, &header, &source, (u64 *)(void *)m->data);
    if (hx_likely(status == HX_OK)) {
        m->header = header;
        m->source = source;
        m->destination = handle;
    }
    return (enum hx_status)status;
}

/* A new channel. Calls arrive at the server's end in the order in which they were made, those with
 * HX_MESSAGE_PRIORITY first. Return: HX_OK; HX_ERR_LIMIT. */
enum hx_status hx_channel_create(hx_handle_t *out_server, hx_handle_t *out_client) HX_MUST_CHECK;

/* Sends *m, and waits for what becomes *m: the reply, with its handles.
 * Return: HX_OK; HX_ERR_CLOSED, no server any more; HX_ERR_DEAD_PEER, it took the call and ended;
 * HX_ERR_TIMED_OUT; HX_ERR_MESSAGE_SIZE. Without HX_OK *m is as it was, but the handles in it may
 * have other numbers. */
static HX_ALWAYS_INLINE enum hx_status hx_channel_call(hx_handle_t channel, struct hx_message *m)
{
    return hx_message_call(HX_SYS_channel_call, channel, m);
}

/* Waits for a call. The thread then owes a reply, before it can receive again.
 * Return: HX_OK; HX_ERR_CLOSED, no client any more; HX_ERR_TIMED_OUT (of m's
 * header, hx_message_deadline() alone counts); HX_ERR_BAD_STATE, it owes one. */
enum hx_status hx_channel_receive(hx_handle_t server, struct hx_message *m) HX_MUST_CHECK;

/* Replies with *m and waits for the next call, in one. Return: as hx_channel_receive();
 * HX_ERR_BAD_STATE, nothing to reply to; HX_ERR_MESSAGE_SIZE, and no reply has been made. */
static HX_ALWAYS_INLINE enum hx_status hx_channel_reply_receive(hx_handle_t server,
                                                                struct hx_message *m)
{
    return hx_message_call(HX_SYS_channel_reply_receive, server, m);
}

/* Replies. Return: HX_OK; HX_ERR_CLOSED, the caller has given up; HX_ERR_BAD_STATE. */
enum hx_status hx_channel_reply(struct hx_message *m) HX_MUST_CHECK;

/* Puts the call that the thread owes a reply for aside: whoever has the handle replies, once. To
 * close it instead tells the caller HX_ERR_DEAD_PEER. */
enum hx_status hx_reply_keep(hx_handle_t *out_reply) HX_MUST_CHECK;
enum hx_status hx_reply_send(hx_handle_t reply, struct hx_message *m) HX_MUST_CHECK;

/* A queue of `slots` messages, a power of two from 2 to HX_QUEUE_SLOTS_MAX, whose memory counts
 * against the quota of the caller. Return: HX_OK; HX_ERR_INVALID; HX_ERR_LIMIT. */
enum hx_status hx_queue_create(u32 slots, enum hx_queue_policy policy, hx_handle_t *out_receiver,
                               hx_handle_t *out_sender) HX_MUST_CHECK;

/* Return: HX_OK; HX_ERR_NO_SPACE, it is full and its policy is HX_QUEUE_FAIL; HX_ERR_TIMED_OUT;
 * HX_ERR_CLOSED, nobody will take it. */
static inline enum hx_status hx_queue_send(hx_handle_t queue, struct hx_message *m)
{
    return (enum hx_status)hx_syscall_send(HX_SYS_queue_send, queue, m->header, (u64)(uintptr_t)m,
                                           (const u64 *)(const void *)m->data);
}

/* Return: HX_OK; HX_ERR_TIMED_OUT (as for hx_channel_receive()); HX_ERR_CLOSED, it is empty and
 * nobody will send any more. */
static inline enum hx_status hx_queue_receive(hx_handle_t receiver, struct hx_message *m)
{
    m->header &= (u64)HX_MESSAGE_TIMED << 32;
    return hx_message_call(HX_SYS_queue_receive, receiver, m);
}

/* A topic that keeps its last `slots` events, a power of two up to HX_TOPIC_SLOTS_MAX. */
enum hx_status hx_topic_create(u32 slots, hx_handle_t *out_topic) HX_MUST_CHECK;

/* Adds an event of up to HX_MESSAGE_SHORT bytes in eight words; costs the same however many
 * subscribe, and never waits. */
static inline enum hx_status hx_topic_publish_words(hx_handle_t topic, u64 key, size_t length,
                                                    const u64 *words)
{
    u64 header = HX_MESSAGE_HEADER(HX_MESSAGE_EVENT, 0, 0, length);
    return (enum hx_status)hx_syscall_send(HX_SYS_topic_publish, topic, header, key, words);
}

/* The same for up to HX_MESSAGE_MAX bytes. */
enum hx_status hx_topic_publish(hx_handle_t topic, u64 key, const void *bytes,
                                size_t length) HX_MUST_CHECK;

/* A place among the readers, from now on: events published later are seen. */
enum hx_status hx_topic_subscribe(hx_handle_t topic, enum hx_delivery delivery,
                                  hx_handle_t *out_subscription) HX_MUST_CHECK;

/* The next event, and what was lost before it. Return: HX_OK; HX_ERR_TIMED_OUT; HX_ERR_CLOSED, that
 * was all. */
static inline enum hx_status hx_topic_read(hx_handle_t subscription, u64 deadline_ns,
                                           struct hx_event *out)
{
    return (enum hx_status)hx_sys_topic_read(subscription, out, deadline_ns);
}

/* Names, in a registry or (HX_HANDLE_NONE) the system's. A name goes when its service does.
 * register: `handle` (with HX_RIGHT_DELEGATE) stays the caller's; who finds the name gets one like
 * it. Return: HX_OK; HX_ERR_EXISTS; HX_ERR_NAME_TOO_LONG. find: HX_ERR_NOT_FOUND; HX_ERR_ABI, it is
 * older than `version`. remove: HX_ERR_ACCESS, another process registered it. */
enum hx_status hx_registry_create(hx_handle_t *out_registry) HX_MUST_CHECK;
enum hx_status hx_name_register(hx_handle_t registry, const char *name, hx_handle_t handle,
                                u64 version, u64 features) HX_MUST_CHECK;
enum hx_status hx_name_find(hx_handle_t registry, const char *name, u64 version,
                            hx_handle_t *out_handle) HX_MUST_CHECK;
enum hx_status hx_name_query(hx_handle_t registry, const char *name,
                             struct hx_service_info *out_info) HX_MUST_CHECK;
enum hx_status hx_name_remove(hx_handle_t registry, const char *name) HX_MUST_CHECK;

/* Hands the faults of a process (HX_HANDLE_NONE: this one; else with HX_RIGHT_ADMIN) to the server
 * of a channel; HX_HANDLE_NONE: to nobody any more. They arrive there as HX_MESSAGE_FAULT with a
 * struct hx_fault, and the reply is a struct hx_fault_answer. The server must not be the thread
 * that has the fault. */
enum hx_status hx_fault_handler_set(hx_handle_t process, hx_handle_t channel) HX_MUST_CHECK;

#endif
