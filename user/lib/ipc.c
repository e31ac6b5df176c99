/* SPDX-License-Identifier: MIT */
/* Messages: the wrappers that need not be in line.
 * Owns: nothing.   Context: any thread.
 */
#include <hx/ipc.h>

static enum hx_status pair(s64 status, const hx_handle_t *handles, hx_handle_t *out_first,
                           hx_handle_t *out_second)
{
    if (status == HX_OK) {
        *out_first = handles[0];
        *out_second = handles[1];
    }
    return (enum hx_status)status;
}

static enum hx_status single(s64 result, hx_handle_t *out_handle)
{
    if (result < 0) {
        return (enum hx_status)result;
    }
    *out_handle = (hx_handle_t)result;
    return HX_OK;
}

enum hx_status hx_channel_create(hx_handle_t *out_server, hx_handle_t *out_client)
{
    hx_handle_t handles[2] = {0};
    s64 status = hx_sys_channel_create(handles);
    return pair(status, handles, out_server, out_client);
}

enum hx_status hx_channel_receive(hx_handle_t server, struct hx_message *m)
{
    m->header &= (u64)HX_MESSAGE_TIMED << 32;
    return hx_message_call(HX_SYS_channel_receive, server, m);
}

enum hx_status hx_channel_reply(struct hx_message *m)
{
    /* Header and address are the first two arguments here. */
    return (enum hx_status)hx_syscall_send(HX_SYS_channel_reply, m->header, (u64)(uintptr_t)m, 0,
                                           (const u64 *)(const void *)m->data);
}

enum hx_status hx_reply_keep(hx_handle_t *out_reply)
{
    return single(hx_sys_reply_keep(), out_reply);
}

enum hx_status hx_reply_send(hx_handle_t reply, struct hx_message *m)
{
    return (enum hx_status)hx_syscall_send(HX_SYS_reply_send, reply, m->header, (u64)(uintptr_t)m,
                                           (const u64 *)(const void *)m->data);
}

enum hx_status hx_queue_create(u32 slots, enum hx_queue_policy policy, hx_handle_t *out_receiver,
                               hx_handle_t *out_sender)
{
    hx_handle_t handles[2] = {0};
    s64 status = hx_sys_queue_create(slots, policy, handles);
    return pair(status, handles, out_receiver, out_sender);
}

enum hx_status hx_topic_create(u32 slots, hx_handle_t *out_topic)
{
    return single(hx_sys_topic_create(slots), out_topic);
}

enum hx_status hx_topic_publish(hx_handle_t topic, u64 key, const void *bytes, size_t length)
{
    if (length > HX_MESSAGE_MAX) {
        return HX_ERR_MESSAGE_SIZE;
    }
    struct hx_message m;
    hx_message_set(&m, HX_MESSAGE_EVENT, bytes, length);
    return length <= HX_MESSAGE_SHORT
               ? hx_topic_publish_words(topic, key, length, (const u64 *)(const void *)m.data)
               : (enum hx_status)hx_sys_topic_publish(topic, m.header, key, (u64)(uintptr_t)&m);
}

enum hx_status hx_topic_subscribe(hx_handle_t topic, enum hx_delivery delivery,
                                  hx_handle_t *out_subscription)
{
    return single(hx_sys_topic_subscribe(topic, delivery), out_subscription);
}

enum hx_status hx_registry_create(hx_handle_t *out_registry)
{
    return single(hx_sys_registry_create(), out_registry);
}

enum hx_status hx_name_register(hx_handle_t registry, const char *name, hx_handle_t handle,
                                u64 version, u64 features)
{
    return (enum hx_status)hx_sys_name_register(registry, name, strlen(name), handle, version,
                                                features);
}

enum hx_status hx_name_find(hx_handle_t registry, const char *name, u64 version,
                            hx_handle_t *out_handle)
{
    return single(hx_sys_name_find(registry, name, strlen(name), version), out_handle);
}

enum hx_status hx_name_query(hx_handle_t registry, const char *name,
                             struct hx_service_info *out_info)
{
    return (enum hx_status)hx_sys_name_query(registry, name, strlen(name), out_info);
}

enum hx_status hx_name_remove(hx_handle_t registry, const char *name)
{
    return (enum hx_status)hx_sys_name_remove(registry, name, strlen(name));
}

enum hx_status hx_fault_handler_set(hx_handle_t process, hx_handle_t channel)
{
    return (enum hx_status)hx_sys_fault_handler_set(process, channel);
}
