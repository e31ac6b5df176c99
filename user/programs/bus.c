/* SPDX-License-Identifier: MIT */
/* bus watch NAME [COUNT]       prints the events of the topic NAME, and what it missed
 * bus publish NAME TEXT [KEY]  adds one
 * Either makes the topic when there is none of that name.
 */
#include <helix/string.h>
#include <hx/io.h>
#include <hx/ipc.h>
#include <hx/process.h>

#define SLOTS 64

static int failed(const char *what, enum hx_status status)
{
    hx_printf("bus: %s: %s\n", what, hx_status_words(status));
    return 1;
}

static enum hx_status topic_of(const char *name, hx_handle_t *out_topic)
{
    enum hx_status status = hx_name_find(HX_HANDLE_NONE, name, 0, out_topic);
    if (status == HX_ERR_NOT_FOUND) {
        status = hx_topic_create(SLOTS, out_topic);
        if (status == HX_OK) {
            status = hx_name_register(HX_HANDLE_NONE, name, *out_topic, 1, 0);
        }
    }
    return status;
}

static int watch(const char *name, u64 count)
{
    hx_handle_t topic, subscription;
    struct hx_event event = {0};
    enum hx_status status = topic_of(name, &topic);
    if (status == HX_OK) {
        status = hx_topic_subscribe(topic, HX_DELIVER_DROP_OLDEST, &subscription);
    }
    while (status == HX_OK && count--) {
        status = hx_topic_read(subscription, HX_DEADLINE_NEVER, &event);
        if (status == HX_OK) {
            if (event.gap) {
                hx_printf("(%llu missed)\n", (unsigned long long)event.gap);
            }
            hx_printf("%llu key %llu from %llu: ", (unsigned long long)event.sequence,
                      (unsigned long long)event.key, (unsigned long long)event.source);
            hx_write((const char *)event.data, event.length);
            hx_write("\n", 1);
        }
    }
    return status == HX_OK ? 0 : failed(name, status);
}

int main(int argc, char **argv)
{
    u64 number = 0;
    if (argc >= 4 && argc <= 5 && str_equal(argv[1], "publish") &&
        (argc == 4 || str_to_u64(argv[4], &number))) {
        hx_handle_t topic;
        enum hx_status status = topic_of(argv[2], &topic);
        if (status == HX_OK) {
            status = hx_topic_publish(topic, number, argv[3], strlen(argv[3]));
        }
        return status == HX_OK ? 0 : failed(argv[2], status);
    }
    if ((argc == 3 || (argc == 4 && str_to_u64(argv[3], &number))) && str_equal(argv[1], "watch")) {
        return watch(argv[2], argc == 4 ? number : ~0ull);
    }
    hx_printf("usage: bus watch NAME [COUNT] | bus publish NAME TEXT [KEY]\n");
    return 2;
}
