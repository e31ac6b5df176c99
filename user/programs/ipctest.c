/* SPDX-License-Identifier: MIT */
/* ipctest [MESSAGES]: messages between two processes and between threads, in all
 * their ways to go right and wrong. Without arguments it starts itself again in the other roles.
 */
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/ipc.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/thread.h>
#include "expect.h"

#define PROGRAM "bin/ipctest"
#define ROUNDS  2000
#define SECOND  (1000 * HX_NS_PER_MS)

/* What the server does with a request: its first word says. */
enum request {
    ECHO,       /* the same bytes back, each plus 1 */
    STOP,       /* reply, and end */
    DIE,        /* end without a reply */
    HANDLES,    /* send the handles that came back */
    LATER,      /* keep the call; another thread answers */
    DROP_LATER, /* keep the call and close the handle */
    SLOWLY      /* answer after the milliseconds of the second word */
};

static void fill(struct hx_message *m, enum request request, size_t length)
{
    hx_message_begin(m, HX_MESSAGE_REQUEST, length);
    for (size_t i = 0; i < length; i++) {
        m->data[i] = (u8)(i * 7 + length);
    }
    m->data[0] = (u8)request;
}

static bool is_echo(const struct hx_message *m, size_t length)
{
    bool good =
        HX_MESSAGE_LENGTH(m->header) == length && HX_MESSAGE_TYPE(m->header) == HX_MESSAGE_RESPONSE;
    for (size_t i = 1; i < length && good; i++) {
        good = m->data[i] == (u8)(i * 7 + length + 1);
    }
    return good;
}

/* the server */

static u64 answer_later(void *arg)
{
    hx_handle_t reply = (hx_handle_t)(uintptr_t)arg;
    struct hx_message m;
    hx_message_begin(&m, HX_MESSAGE_RESPONSE, 8);
    memset(m.data, 0x5a, 8);
    hx_sleep(HX_NS_PER_MS);
    EXPECT_STATUS(HX_OK, hx_reply_send(reply, &m));
    return 0;
}

static int serve(const char *name)
{
    hx_handle_t server, client, kept;
    struct hx_message m;
    struct hx_thread thread;
    EXPECT_STATUS(HX_OK, hx_channel_create(&server, &client));
    EXPECT_STATUS(HX_OK, hx_name_register(HX_HANDLE_NONE, name, client, 3, 0x10));
    EXPECT_STATUS(HX_OK, hx_handle_close(client));
    hx_message_begin(&m, HX_MESSAGE_REQUEST, 0);
    enum hx_status status = hx_channel_receive(server, &m);
    while (status == HX_OK) {
        u32 length = HX_MESSAGE_LENGTH(m.header);
        enum request request = m.data[0];
        EXPECT(HX_MESSAGE_FLAGS(m.header) & HX_MESSAGE_RESPOND, "header %#llx",
               (unsigned long long)m.header);
        switch (request) {
        case DIE:
            return 7;
        case LATER:
        case DROP_LATER:
            EXPECT_STATUS(HX_OK, hx_reply_keep(&kept));
            EXPECT_STATUS(HX_ERR_BAD_STATE, hx_channel_reply(&m));
            if (request == DROP_LATER) {
                EXPECT_STATUS(HX_OK, hx_handle_close(kept));
            } else {
                EXPECT_STATUS(HX_OK,
                              hx_thread_create(answer_later, (void *)(uintptr_t)kept, &thread));
            }
            hx_message_begin(&m, HX_MESSAGE_REQUEST, 0);
            status = hx_channel_receive(server, &m);
            continue;
        case SLOWLY:
            hx_sleep(m.data[1] * HX_NS_PER_MS);
            break;
        default:
            break;
        }
        u32 handles = HX_MESSAGE_HANDLE_COUNT(m.header);
        for (u32 i = 0; i < length; i++) {
            m.data[i]++;
        }
        m.header = HX_MESSAGE_HEADER(HX_MESSAGE_RESPONSE, 0, handles, length);
        if (request == STOP) {
            EXPECT_STATUS(HX_OK, hx_channel_reply(&m));
            return expectations.failures != 0;
        }
        status = hx_channel_reply_receive(server, &m);
    }
    EXPECT_STATUS(HX_ERR_CLOSED, status);
    return expectations.failures != 0;
}

static hx_handle_t start(const char *role, const char *name)
{
    const char *argv[] = {PROGRAM, role, name};
    hx_handle_t process = HX_HANDLE_NONE;
    EXPECT_STATUS(HX_OK, hx_process_spawn(PROGRAM, 3, argv, &process));
    return process;
}

static u64 finish(hx_handle_t process)
{
    u64 status = ~0ull;
    EXPECT_STATUS(HX_OK, hx_process_wait(process, hx_deadline_after(10 * SECOND), &status));
    EXPECT_STATUS(HX_OK, hx_handle_close(process));
    return status;
}

static hx_handle_t find(const char *name)
{
    hx_handle_t channel = HX_HANDLE_NONE;
    enum hx_status status = HX_ERR_NOT_FOUND;
    for (u32 i = 0; i < 1000 && status == HX_ERR_NOT_FOUND; i++) {
        status = hx_name_find(HX_HANDLE_NONE, name, 0, &channel);
        if (status == HX_ERR_NOT_FOUND) {
            hx_sleep(HX_NS_PER_MS);
        }
    }
    EXPECT_STATUS(HX_OK, status);
    return channel;
}

/* the client */

static void test_calls(void)
{
    static const size_t lengths[] = {8, 1, 63, 64, 65, 128, 255, 256};
    hx_handle_t process = start("serve", "test.echo"), channel = find("test.echo");
    struct hx_message m;
    for (u32 round = 0; round < ROUNDS; round++) {
        size_t length = lengths[round % HX_ARRAY_SIZE(lengths)];
        fill(&m, ECHO, length);
        EXPECT_STATUS(HX_OK, hx_channel_call(channel, &m));
        EXPECT(is_echo(&m, length), "round %u of %llu bytes", round, (unsigned long long)length);
        EXPECT(m.source > 1, "source %llu", (unsigned long long)m.source);
    }
    hx_message_begin(&m, HX_MESSAGE_REQUEST, HX_MESSAGE_MAX + 1);
    EXPECT_STATUS(HX_ERR_MESSAGE_SIZE, hx_channel_call(channel, &m));
    m.header = 1ull << 60;
    EXPECT_STATUS(HX_ERR_INVALID, hx_channel_call(channel, &m));
    m.header = HX_MESSAGE_HEADER(HX_MESSAGE_FAULT, 0, 0, 8);
    EXPECT_STATUS(HX_ERR_INVALID, hx_channel_call(channel, &m));
    hx_message_begin(&m, HX_MESSAGE_REQUEST, 8);
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_channel_call(process, &m));

    hx_handle_t server, client;
    EXPECT_STATUS(HX_OK, hx_channel_create(&server, &client));
    fill(&m, HANDLES, 8);
    hx_message_add_handle(&m, server);
    hx_message_add_handle(&m, client);
    EXPECT_STATUS(HX_OK, hx_channel_call(channel, &m));
    EXPECT(HX_MESSAGE_HANDLE_COUNT(m.header) == 2, "header %#llx", (unsigned long long)m.header);
    EXPECT_STATUS(HX_OK, hx_handle_close(m.handles[0]));
    EXPECT_STATUS(HX_OK, hx_handle_close(m.handles[1]));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_handle_close(server));
    fill(&m, HANDLES, 8);
    hx_message_add_handle(&m, 12345);
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_channel_call(channel, &m));

    fill(&m, LATER, 8);
    EXPECT_STATUS(HX_OK, hx_channel_call(channel, &m));
    EXPECT(m.data[3] == 0x5a, "byte %x", m.data[3]);
    fill(&m, DROP_LATER, 8);
    EXPECT_STATUS(HX_ERR_DEAD_PEER, hx_channel_call(channel, &m));

    fill(&m, SLOWLY, 8);
    m.data[1] = 30;
    hx_message_deadline(&m, hx_deadline_after(5 * HX_NS_PER_MS));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_channel_call(channel, &m));
    fill(&m, ECHO, 100); /* while the server still works on the other */
    EXPECT_STATUS(HX_OK, hx_channel_call(channel, &m));
    EXPECT(is_echo(&m, 100), "after a timeout");
    fill(&m, SLOWLY, 8);
    m.data[1] = 1;
    hx_message_deadline(&m, hx_deadline_after(SECOND));
    EXPECT_STATUS(HX_OK, hx_channel_call(channel, &m));

    fill(&m, STOP, 8);
    EXPECT_STATUS(HX_OK, hx_channel_call(channel, &m));
    EXPECT(finish(process) == 0, "the server found fault");
    EXPECT_STATUS(HX_ERR_CLOSED, hx_channel_call(channel, &m));
    EXPECT_STATUS(HX_OK, hx_handle_close(channel));
}

static void test_peer_ends(void)
{
    struct hx_message m;
    hx_handle_t process = start("serve", "test.dying"), channel = find("test.dying");
    fill(&m, DIE, 8);
    EXPECT_STATUS(HX_ERR_DEAD_PEER, hx_channel_call(channel, &m));
    EXPECT(finish(process) == 7, "it died otherwise");
    EXPECT_STATUS(HX_ERR_CLOSED, hx_channel_call(channel, &m));
    EXPECT_STATUS(HX_OK, hx_handle_close(channel));

    process = start("serve", "test.killed");
    channel = find("test.killed");
    fill(&m, SLOWLY, 8);
    m.data[1] = 200;
    hx_message_deadline(&m, hx_deadline_after(10 * HX_NS_PER_MS));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_channel_call(channel, &m));
    EXPECT_STATUS(HX_OK, hx_process_kill(process));
    EXPECT(finish(process) == HX_EXIT_KILLED, "it was not killed");
    fill(&m, ECHO, 8);
    EXPECT_STATUS(HX_ERR_CLOSED, hx_channel_call(channel, &m));
    EXPECT_STATUS(HX_OK, hx_handle_close(channel));

    /* The last client goes: the server sees it. */
    hx_handle_t server, client;
    EXPECT_STATUS(HX_OK, hx_channel_create(&server, &client));
    EXPECT_STATUS(HX_OK, hx_handle_close(client));
    hx_message_begin(&m, HX_MESSAGE_REQUEST, 0);
    EXPECT_STATUS(HX_ERR_CLOSED, hx_channel_receive(server, &m));
    EXPECT_STATUS(HX_OK, hx_handle_close(server));
    EXPECT_STATUS(HX_ERR_BAD_STATE, hx_channel_reply(&m));
}

static void test_authority(void)
{
    struct hx_message m = {0};
    hx_handle_t server, client, derived;
    EXPECT_STATUS(HX_OK, hx_channel_create(&server, &client));
    hx_message_begin(&m, HX_MESSAGE_REQUEST, 0);
    hx_message_deadline(&m, 0);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_channel_call(client, &m));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_channel_receive(server, &m));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_channel_receive(client, &m));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_channel_call(server, &m));
    s64 result = hx_sys_handle_derive(client, HX_RIGHT_WRITE, HX_DEADLINE_NEVER, 0);
    EXPECT(result > 0, "derive: %lld", (long long)result);
    derived = (hx_handle_t)result;
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_channel_call(derived, &m));
    EXPECT_STATUS(HX_OK, hx_sys_handle_revoke(client));
    EXPECT_STATUS(HX_ERR_REVOKED, hx_channel_call(derived, &m));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_channel_call(client, &m));
    result = hx_sys_handle_duplicate(client, HX_RIGHT_DELEGATE);
    EXPECT_STATUS(HX_ERR_ACCESS, hx_channel_call((hx_handle_t)result, &m));
    EXPECT_STATUS(HX_OK, hx_handle_close((hx_handle_t)result));
    EXPECT_STATUS(HX_OK, hx_handle_close(derived));
    EXPECT_STATUS(HX_OK, hx_handle_close(client));
    EXPECT_STATUS(HX_OK, hx_handle_close(server));
}

static void test_quota(void)
{
    hx_handle_t handles[2];
    static hx_handle_t made[5000];
    u32 count = 0;
    enum hx_status status = HX_OK;
    while (status == HX_OK && count + 2 <= HX_ARRAY_SIZE(made)) {
        status = hx_channel_create(&handles[0], &handles[1]);
        if (status == HX_OK) {
            made[count++] = handles[0];
            made[count++] = handles[1];
        }
    }
    EXPECT_STATUS(HX_ERR_LIMIT, status);
    while (count) {
        EXPECT_STATUS(HX_OK, hx_handle_close(made[--count]));
    }
    EXPECT_STATUS(HX_OK, hx_channel_create(&handles[0], &handles[1]));
    EXPECT_STATUS(HX_OK, hx_handle_close(handles[0]));
    EXPECT_STATUS(HX_OK, hx_handle_close(handles[1]));
}

/* queues */

static u64 late_reader(void *arg)
{
    hx_handle_t receiver = (hx_handle_t)(uintptr_t)arg;
    struct hx_message m = {0};
    hx_sleep(5 * HX_NS_PER_MS);
    hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
    EXPECT_STATUS(HX_OK, hx_queue_receive(receiver, &m));
    return m.data[0];
}

static u64 late_writer(void *arg)
{
    hx_handle_t sender = (hx_handle_t)(uintptr_t)arg;
    struct hx_message m;
    hx_sleep(5 * HX_NS_PER_MS);
    fill(&m, ECHO, 200);
    EXPECT_STATUS(HX_OK, hx_queue_send(sender, &m));
    return 0;
}

static void test_queues(void)
{
    struct hx_message m;
    hx_handle_t receiver, sender;
    struct hx_thread thread;
    u64 value;
    EXPECT_STATUS(HX_ERR_INVALID, hx_queue_create(3, HX_QUEUE_FAIL, &receiver, &sender));
    EXPECT_STATUS(HX_ERR_INVALID, hx_queue_create(8192, HX_QUEUE_FAIL, &receiver, &sender));
    for (enum hx_queue_policy policy = 0; policy < HX_QUEUE_POLICIES; policy++) {
        EXPECT_STATUS(HX_OK, hx_queue_create(4, policy, &receiver, &sender));
        for (u32 i = 0; i < 4; i++) {
            fill(&m, ECHO, i == 3 ? 256 : 8);
            m.data[0] = (u8)i;
            EXPECT_STATUS(HX_OK, hx_queue_send(sender, &m));
        }
        hx_message_begin(&m, HX_MESSAGE_EVENT, 1);
        m.data[0] = 4;
        if (policy == HX_QUEUE_FAIL) {
            EXPECT_STATUS(HX_ERR_NO_SPACE, hx_queue_send(sender, &m));
        } else if (policy == HX_QUEUE_DROP_OLDEST) {
            EXPECT_STATUS(HX_OK, hx_queue_send(sender, &m));
        } else {
            hx_message_deadline(&m, hx_deadline_after(HX_NS_PER_MS));
            EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_queue_send(sender, &m));
            EXPECT_STATUS(HX_OK,
                          hx_thread_create(late_reader, (void *)(uintptr_t)receiver, &thread));
            hx_message_begin(&m, HX_MESSAGE_EVENT, 1);
            EXPECT_STATUS(HX_OK, hx_queue_send(sender, &m));
            EXPECT_STATUS(HX_OK, hx_thread_join(&thread, HX_DEADLINE_NEVER, &value));
            EXPECT(value == 0, "the oldest was %llu", (unsigned long long)value);
        }
        for (u32 i = policy == HX_QUEUE_FAIL ? 0 : 1; i < (policy == HX_QUEUE_FAIL ? 4u : 5u);
             i++) {
            hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
            EXPECT_STATUS(HX_OK, hx_queue_receive(receiver, &m));
            EXPECT(m.data[0] == i, "policy %u: %u came, not %u", policy, m.data[0], i);
        }
        hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
        hx_message_deadline(&m, hx_deadline_after(HX_NS_PER_MS));
        EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_queue_receive(receiver, &m));
        EXPECT_STATUS(HX_OK, hx_thread_create(late_writer, (void *)(uintptr_t)sender, &thread));
        hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
        EXPECT_STATUS(HX_OK, hx_queue_receive(receiver, &m));
        EXPECT(HX_MESSAGE_LENGTH(m.header) == 200 && m.data[100] == (u8)(100 * 7 + 200), "long");
        EXPECT_STATUS(HX_OK, hx_thread_join(&thread, HX_DEADLINE_NEVER, &value));
        hx_message_begin(&m, HX_MESSAGE_EVENT, 1);
        EXPECT_STATUS(HX_OK, hx_queue_send(sender, &m));
        if (policy == HX_QUEUE_FAIL) {
            EXPECT_STATUS(HX_OK, hx_handle_close(receiver));
            EXPECT_STATUS(HX_ERR_CLOSED, hx_queue_send(sender, &m));
            EXPECT_STATUS(HX_OK, hx_handle_close(sender));
        } else {
            EXPECT_STATUS(HX_OK, hx_handle_close(sender));
            hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
            EXPECT_STATUS(HX_OK, hx_queue_receive(receiver, &m));
            hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
            EXPECT_STATUS(HX_ERR_CLOSED, hx_queue_receive(receiver, &m));
            EXPECT_STATUS(HX_OK, hx_handle_close(receiver));
        }
    }
}

/* Eight producers, one consumer: each producer's messages in order, none lost, none twice. */
#define PRODUCERS 8

static struct {
    hx_handle_t sender;
    u64 each;
} flood;

static u64 producer(void *arg)
{
    struct hx_message m;
    for (u64 i = 0; i < flood.each; i++) {
        hx_message_begin(&m, HX_MESSAGE_EVENT, 16);
        u64 words[] = {(u64)(uintptr_t)arg, i};
        memcpy(m.data, words, sizeof(words));
        EXPECT_STATUS(HX_OK, hx_queue_send(flood.sender, &m));
    }
    return 0;
}

static void test_flood(u64 count)
{
    hx_handle_t receiver;
    struct hx_thread threads[PRODUCERS];
    u64 next[PRODUCERS] = {0}, wrong = 0, words[2];
    flood.each = count / PRODUCERS;
    EXPECT_STATUS(HX_OK, hx_queue_create(64, HX_QUEUE_BLOCK, &receiver, &flood.sender));
    for (u64 i = 0; i < PRODUCERS; i++) {
        EXPECT_STATUS(HX_OK, hx_thread_create(producer, (void *)(uintptr_t)i, &threads[i]));
    }
    for (u64 i = 0; i < flood.each * PRODUCERS; i++) {
        struct hx_message m = {0};
        hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
        enum hx_status status = hx_queue_receive(receiver, &m);
        EXPECT(status == HX_OK, "message %llu: %s", (unsigned long long)i, hx_status_name(status));
        if (status != HX_OK) {
            return;
        }
        memcpy(words, m.data, sizeof(words));
        if (words[0] >= PRODUCERS || words[1] != next[words[0]]++) {
            wrong++;
        }
    }
    for (u64 i = 0; i < PRODUCERS; i++) {
        EXPECT_STATUS(HX_OK, hx_thread_join(&threads[i], HX_DEADLINE_NEVER, NULL));
    }
    EXPECT(wrong == 0, "%llu messages lost, doubled or out of order", (unsigned long long)wrong);
    EXPECT_STATUS(HX_OK, hx_handle_close(flood.sender));
    struct hx_message m = {0};
    hx_message_begin(&m, HX_MESSAGE_EVENT, 0);
    EXPECT_STATUS(HX_ERR_CLOSED, hx_queue_receive(receiver, &m));
    EXPECT_STATUS(HX_OK, hx_handle_close(receiver));
}

/* topics */

static u64 late_publisher(void *arg)
{
    hx_sleep(5 * HX_NS_PER_MS);
    EXPECT_STATUS(HX_OK, hx_topic_publish((hx_handle_t)(uintptr_t)arg, 9, "late", 5));
    return 0;
}

static void test_topics(void)
{
    hx_handle_t topic, dropping, merging;
    struct hx_event event;
    struct hx_thread thread;
    EXPECT_STATUS(HX_ERR_INVALID, hx_topic_create(6, &topic));
    EXPECT_STATUS(HX_OK, hx_topic_create(8, &topic));
    EXPECT_STATUS(HX_OK, hx_topic_publish(topic, 0, "before", 7));
    EXPECT_STATUS(HX_OK, hx_topic_subscribe(topic, HX_DELIVER_DROP_OLDEST, &dropping));
    EXPECT_STATUS(HX_OK, hx_topic_subscribe(topic, HX_DELIVER_COALESCE, &merging));
    EXPECT_STATUS(HX_ERR_INVALID, hx_topic_subscribe(topic, HX_DELIVERIES, &merging));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_topic_read(dropping, 0, &event));
    for (u64 i = 0; i < 6; i++) {
        u64 words[HX_MESSAGE_WORDS] = {i};
        EXPECT_STATUS(HX_OK, hx_topic_publish_words(topic, i % 2, 64, words));
    }
    for (u64 i = 0; i < 6; i++) {
        EXPECT_STATUS(HX_OK, hx_topic_read(dropping, 0, &event));
        EXPECT(event.sequence == i + 1 && event.gap == 0 && event.data[0] == i &&
                   event.key == i % 2 && event.length == 64,
               "event %llu", (unsigned long long)event.sequence);
    }
    EXPECT_STATUS(HX_OK, hx_topic_read(merging, 0, &event));
    EXPECT(event.sequence == 5 && event.merged == 4, "%llu after %llu merged",
           (unsigned long long)event.sequence, (unsigned long long)event.merged);
    EXPECT_STATUS(HX_OK, hx_topic_read(merging, 0, &event));
    EXPECT(event.sequence == 6 && event.merged == 0, "%llu after %llu merged",
           (unsigned long long)event.sequence, (unsigned long long)event.merged);
    for (u64 i = 0; i < 20; i++) { /* more than it keeps: the gap is visible */
        char text[HX_MESSAGE_MAX] = {(char)i};
        EXPECT_STATUS(HX_OK, hx_topic_publish(topic, i, text, sizeof(text)));
    }
    u64 seen = 0, lost = 0;
    while (hx_topic_read(dropping, 0, &event) == HX_OK) {
        lost += event.gap;
        EXPECT(event.data[0] == lost + seen && event.length == 256, "event %u", event.data[0]);
        seen++;
    }
    EXPECT(seen == 8 && lost == 12, "%llu seen, %llu lost", (unsigned long long)seen,
           (unsigned long long)lost);
    EXPECT_STATUS(HX_OK, hx_thread_create(late_publisher, (void *)(uintptr_t)topic, &thread));
    EXPECT_STATUS(HX_OK, hx_topic_read(dropping, HX_DEADLINE_NEVER, &event));
    EXPECT(event.key == 9 && event.length == 5, "the late event");
    EXPECT_STATUS(HX_OK, hx_thread_join(&thread, HX_DEADLINE_NEVER, NULL));
    EXPECT_STATUS(HX_OK, hx_handle_close(topic));
    EXPECT_STATUS(HX_ERR_CLOSED, hx_topic_read(dropping, HX_DEADLINE_NEVER, &event));
    EXPECT_STATUS(HX_OK, hx_topic_read(merging, 0, &event));
    EXPECT_STATUS(HX_OK, hx_handle_close(dropping));
    EXPECT_STATUS(HX_OK, hx_handle_close(merging));
}

static void test_names(void)
{
    hx_handle_t server, client, registry, found;
    struct hx_service_info info;
    EXPECT_STATUS(HX_OK, hx_channel_create(&server, &client));
    EXPECT_STATUS(HX_OK, hx_registry_create(&registry));
    EXPECT_STATUS(HX_OK, hx_name_register(registry, "a", client, 5, 0xff));
    EXPECT_STATUS(HX_ERR_EXISTS, hx_name_register(registry, "a", client, 5, 0xff));
    EXPECT_STATUS(HX_ERR_INVALID, hx_name_register(registry, "", client, 5, 0));
    EXPECT_STATUS(HX_ERR_INVALID, hx_name_register(registry, "a b", client, 5, 0));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_name_find(HX_HANDLE_NONE, "a", 0, &found));
    EXPECT_STATUS(HX_ERR_ABI, hx_name_find(registry, "a", 6, &found));
    EXPECT_STATUS(HX_OK, hx_name_find(registry, "a", 5, &found));
    EXPECT_STATUS(HX_OK, hx_name_query(registry, "a", &info));
    EXPECT(info.version == 5 && info.features == 0xff && info.type == HX_OBJECT_CHANNEL,
           "version %llu", (unsigned long long)info.version);
    EXPECT_STATUS(HX_OK, hx_name_remove(registry, "a"));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_name_remove(registry, "a"));
    EXPECT_STATUS(HX_OK, hx_name_register(registry, "a", client, 5, 0));
    EXPECT_STATUS(HX_OK, hx_handle_close(server));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_name_find(registry, "a", 0, &found));
    EXPECT_STATUS(HX_OK, hx_handle_close(found));
    EXPECT_STATUS(HX_OK, hx_handle_close(registry));
    EXPECT_STATUS(HX_OK, hx_handle_close(client));
}

/* faults */

static struct {
    hx_handle_t server;
    u32 mended;
    void *page;
} handler;

/* Maps what is missing; skips what is no instruction; lets everything else die. */
static u64 mend(void *arg)
{
    struct hx_message m;
    (void)arg;
    hx_message_begin(&m, HX_MESSAGE_REQUEST, 0);
    enum hx_status status = hx_channel_receive(handler.server, &m);
    while (status == HX_OK) {
        struct hx_fault fault;
        memcpy(&fault, m.data, sizeof(fault));
        EXPECT(HX_MESSAGE_TYPE(m.header) == HX_MESSAGE_FAULT, "header %#llx",
               (unsigned long long)m.header);
        struct hx_fault_answer reply = {.pc = fault.pc, .sp = fault.sp, .result = fault.result};
        u64 page = fault.address & ~HX_PAGE_MASK;
        void *at;
        if (fault.kind == HX_FAULT_MEMORY && page == (u64)(uintptr_t)handler.page) {
            EXPECT(fault.access == HX_FAULT_WRITE, "access %llu", (unsigned long long)fault.access);
            reply.resume = hx_memory_map((void *)(uintptr_t)page, HX_PAGE_SIZE,
                                         HX_MAP_WRITE | HX_MAP_FIXED, &at) == HX_OK;
            handler.mended++;
        }
        hx_message_set(&m, HX_MESSAGE_RESPONSE, &reply, sizeof(reply));
        status = hx_channel_reply_receive(handler.server, &m);
    }
    return 0;
}

/* A child with a handler of its own: one fault is mended, the next not. */
static int fault_child(void)
{
    hx_handle_t client;
    struct hx_thread thread;
    EXPECT_STATUS(HX_OK, hx_channel_create(&handler.server, &client));
    EXPECT_STATUS(HX_OK, hx_thread_create(mend, NULL, &thread));
    EXPECT_STATUS(HX_OK, hx_fault_handler_set(HX_HANDLE_NONE, client));
    EXPECT_STATUS(HX_OK, hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, &handler.page));
    EXPECT_STATUS(HX_OK, hx_memory_unmap(handler.page, HX_PAGE_SIZE));
    *(volatile u64 *)handler.page = 42;
    EXPECT(*(volatile u64 *)handler.page == 42 && handler.mended == 1, "mended %u times",
           handler.mended);
    if (expectations.failures) {
        return 1;
    }
    *(volatile u64 *)((char *)handler.page + 16 * HX_PAGE_SIZE) = 1;
    return 2;
}

static void test_faults(void)
{
    EXPECT(finish(start("fault", "-")) == HX_EXIT_FAULT, "it did not die of its second fault");
}

int main(int argc, char **argv)
{
    u64 count = 20000;
    if (argc == 3 && str_equal(argv[1], "serve")) {
        return serve(argv[2]);
    }
    if (argc == 3 && str_equal(argv[1], "fault")) {
        return fault_child();
    }
    if (argc > 2 || (argc == 2 && !str_to_u64(argv[1], &count))) {
        hx_printf("usage: ipctest [MESSAGES]\n");
        return 2;
    }
    hx_printf("calls\n");
    test_calls();
    hx_printf("peers that end\n");
    test_peer_ends();
    hx_printf("authority, queues, topics, names, faults\n");
    test_authority();
    test_quota();
    test_queues();
    test_flood(count);
    test_topics();
    test_names();
    test_faults();
    return expect_result("ipctest");
}
