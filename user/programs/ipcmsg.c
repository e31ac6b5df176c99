/* SPDX-License-Identifier: MIT */
/* ipcmsg send NAME TEXT     calls the service NAME and prints what it replies
 * ipcmsg recv NAME [COUNT]  is the service NAME for so many calls (1): prints them, replies "ok"
 */
#include <helix/string.h>
#include <hx/io.h>
#include <hx/ipc.h>
#include <hx/process.h>

static int failed(const char *what, enum hx_status status)
{
    hx_printf("ipc: %s: %s\n", what, hx_status_words(status));
    return 1;
}

static void print(const struct hx_message *m)
{
    hx_write((const char *)m->data, HX_MESSAGE_LENGTH(m->header));
    hx_write("\n", 1);
}

static int send(const char *name, const char *text)
{
    struct hx_message m;
    hx_handle_t channel;
    if (strlen(text) > HX_MESSAGE_MAX) {
        return failed(text, HX_ERR_MESSAGE_SIZE);
    }
    enum hx_status status = hx_name_find(HX_HANDLE_NONE, name, 0, &channel);
    if (status == HX_OK) {
        hx_message_set(&m, HX_MESSAGE_REQUEST, text, strlen(text));
        status = hx_channel_call(channel, &m);
    }
    if (status != HX_OK) {
        return failed(name, status);
    }
    print(&m);
    return 0;
}

static int receive(const char *name, u64 count)
{
    struct hx_message m;
    hx_handle_t server, client;
    enum hx_status status = hx_channel_create(&server, &client);
    if (status == HX_OK) {
        status = hx_name_register(HX_HANDLE_NONE, name, client, 1, 0);
    }
    while (status == HX_OK && count--) {
        hx_message_begin(&m, HX_MESSAGE_REQUEST, 0);
        status = hx_channel_receive(server, &m);
        if (status == HX_OK) {
            print(&m);
            hx_message_set(&m, HX_MESSAGE_RESPONSE, "ok", 2);
            status = hx_channel_reply(&m);
        }
    }
    return status == HX_OK ? 0 : failed(name, status);
}

int main(int argc, char **argv)
{
    u64 count = 1;
    if (argc == 4 && str_equal(argv[1], "send")) {
        return send(argv[2], argv[3]);
    }
    if ((argc == 3 || (argc == 4 && str_to_u64(argv[3], &count))) && str_equal(argv[1], "recv")) {
        return receive(argv[2], count);
    }
    hx_printf("usage: ipc send NAME TEXT | ipc recv NAME [COUNT]\n");
    return 2;
}
