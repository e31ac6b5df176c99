/* SPDX-License-Identifier: MIT */
/* A program of your own: a thread, the heap, and a line of output.
 */
#include <helix/string.h>
#include <hx/io.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/thread.h>

static u64 count_letters(void *text)
{
    return strlen(text);
}

int main(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "example";
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    struct hx_thread thread;
    u64 letters;
    if (!copy) {
        return 1;
    }
    memcpy(copy, text, size);
    if (hx_thread_create(count_letters, copy, &thread) != HX_OK ||
        hx_thread_join(&thread, HX_DEADLINE_NEVER, &letters) != HX_OK) {
        return 1;
    }
    hx_printf("%s has %llu letters\n", copy, (unsigned long long)letters);
    free(copy);
    return 0;
}
