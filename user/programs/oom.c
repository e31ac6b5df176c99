/* SPDX-License-Identifier: MIT */
/* oom: takes all the memory there is, is refused, and works on; then lets a child do it that gives
 * nothing back, and finds everything there again when the child is gone.
 *   oom keep   the child: ends with what it took still mapped
 */
#include <helix/string.h>
#include <hx/memory.h>
#include <hx/process.h>
#include "expect.h"

#define PIECE      HX_KIB(256)
#define PIECES_MAX (HX_GIB(8) / PIECE)

/* The pieces, each linked through its first word. */
struct piece {
    struct piece *next;
};

/* Takes and fills pieces until one is refused. Return: how many; *out_why is the refusal. */
static u64 take(struct piece **out_first, enum hx_status *out_why)
{
    u64 count = 0;
    struct piece *first = NULL;
    enum hx_status why = HX_OK;
    while (count < PIECES_MAX) {
        void *memory;
        why = hx_memory_map(NULL, PIECE, HX_MAP_WRITE, &memory);
        if (why != HX_OK) {
            break;
        }
        memset(memory, (int)count, PIECE);
        struct piece *piece = memory;
        piece->next = first;
        first = piece;
        count++;
    }
    *out_first = first;
    *out_why = why;
    return count;
}

static void give(struct piece *piece)
{
    while (piece) {
        struct piece *next = piece->next;
        EXPECT_STATUS(HX_OK, hx_memory_unmap(piece, PIECE));
        piece = next;
    }
}

static u64 run(const char *name, const char *argument)
{
    const char *argv[] = {name, argument};
    hx_handle_t process;
    u64 status = UINT64_MAX;
    EXPECT_STATUS(HX_OK, hx_process_spawn(name, argument ? 2 : 1, argv, &process));
    EXPECT_STATUS(HX_OK, hx_process_wait(process, HX_DEADLINE_NEVER, &status));
    EXPECT_STATUS(HX_OK, hx_handle_close(process));
    return status;
}

int main(int argc, char **argv)
{
    struct piece *pieces;
    enum hx_status why;
    if (argc == 2 && str_equal(argv[1], "keep")) {
        return take(&pieces, &why) > 16 && why != HX_OK ? 0 : 1;
    }
    u64 first = take(&pieces, &why);
    EXPECT(first > 16, "%llu pieces only", (unsigned long long)first);
    EXPECT(why == HX_ERR_NO_MEMORY || why == HX_ERR_LIMIT, "refused with %s", hx_status_name(why));
    give(pieces);
    hx_printf("oom: refused after %llu KiB: %s\n", (unsigned long long)(first * PIECE / 1024),
              hx_status_words(why));

    EXPECT_STATUS(0, run("bin/oom", "keep"));
    EXPECT_STATUS(0, run("bin/true", NULL));
    u64 second = take(&pieces, &why);
    give(pieces);
    EXPECT(second + 4 >= first, "%llu pieces at first, %llu after the child",
           (unsigned long long)first, (unsigned long long)second);
    return expect_result("oom");
}
