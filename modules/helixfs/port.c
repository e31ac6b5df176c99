/* SPDX-License-Identifier: MIT */
/* <fs/os.h> over what the kernel lets a module call.
 * Owns:      the memory that it has from the kernel, in chunks.      Callers: fs/helixfs, one at a
 *            time (helixfs.c), so that nothing here needs a lock, and a lock is nothing.
 * Context:   thread.
 * Memory comes from the kernel by the chunk, so that its ledger is short, and is not zeroed again
 * for each use; what does not fit a chunk is a chunk by itself.
 *   chunk: 1 MiB of pages; in the first is struct chunk, behind what the kernel's heap keeps there,
 *   and the last is short of that. A page is free, or the first or a later one of a run, or is cut
 *   into pieces of one size.
 * Invariant: (1) pages are counted from a multiple of a chunk's size, which is how a piece's chunk
 *            is found. (2) a cut
 *            page with a free piece is on the list of its size; one without used pieces is free.
 */
#include "port.h"

#include <fs/fs_module.h>
#include <fs/os.h>
#include <hal/port.h>
#include <helix/bits.h>
#include <helix/list.h>
#include <helix/panic.h>
#include <helix/string.h>

#define PAGE        4096u
#define CHUNK       HX_MIB(1)
#define PAGES       (CHUNK / PAGE - 1)
#define FRONT       128u /* more than the kernel's heap and ledger put in front of a block */
#define MAGIC       0x6b6e756863736668ull
#define CUT_MAX     2048u
#define SIZES_COUNT 13u

static const u16 sizes[SIZES_COUNT] = {32,  48,  64,  96,   128,  192,    256,
                                       384, 512, 768, 1024, 1360, CUT_MAX};

/* What a page is; `run` of its first page says how long a run is. */
enum page_kind { PAGE_FREE, PAGE_RUN, PAGE_LATER, PAGE_CUT };

struct page {
    u8 kind, size_class;
    u16 used;              /* cut: pieces in use */
    u16 run;               /* pages of a run */
    u16 first_free;        /* cut: offset of a free piece, 0xffff: none; the next one is in it */
    struct list_node link; /* cut: on the list of its size, inv 2 */
};

struct chunk {
    u64 magic;
    void *whole; /* as it came from the kernel */
    struct list_node node;
    u32 free, hint; /* pages; where the last search ended */
    bool single;    /* one allocation beyond what a chunk is cut into */
    struct page pages[PAGES];
};

#define HEAD_PAGES ((u32)((FRONT + sizeof(struct chunk) + PAGE - 1) / PAGE))

static struct {
    struct module *self;
    struct list_node chunks;
    struct list_node cut[SIZES_COUNT];
    bool has_crc;
    u32 crc_table[8][256];
} port;

#define NO_PIECE 0xffffu

static struct chunk *chunk_of(const void *p)
{
    struct chunk *chunk = (void *)(hx_align_down((uintptr_t)p, CHUNK) + FRONT); /* inv 1 */
    HX_ASSERT(chunk->magic == MAGIC);
    return chunk;
}

static u8 *base_of(struct chunk *chunk)
{
    return (u8 *)chunk - FRONT;
}

/* A block of the kernel's, as large as a chunk, is where a chunk has to be; others are made large
 * enough to hold one that is. */
static struct chunk *chunk_create(u64 bytes)
{
    u8 *whole = bytes == CHUNK ? module_alloc(port.self, CHUNK - FRONT) : NULL;
    if (whole && (uintptr_t)whole % CHUNK > FRONT) {
        module_free(port.self, whole);
        whole = NULL;
    }
    uintptr_t base = hx_align_down((uintptr_t)whole, CHUNK);
    if (!whole) {
        whole = module_alloc(port.self, bytes + CHUNK);
        base = hx_align_up((uintptr_t)whole, CHUNK);
    }
    if (!whole) {
        return NULL;
    }
    struct chunk *chunk = (void *)(base + FRONT);
    memset(chunk, 0, sizeof(*chunk));
    chunk->magic = MAGIC;
    chunk->whole = whole;
    chunk->free = PAGES - HEAD_PAGES;
    chunk->hint = HEAD_PAGES;
    list_add_tail(&port.chunks, &chunk->node);
    return chunk;
}

static void chunk_destroy(struct chunk *chunk)
{
    list_remove(&chunk->node);
    chunk->magic = 0;
    module_free(port.self, chunk->whole);
}

/* `count` pages in a row; 0: there are none. */
static u32 run_find(struct chunk *chunk, u32 from, u32 to, u32 count)
{
    u32 length = 0;
    for (u32 at = from; at < to;) {
        struct page *page = &chunk->pages[at];
        if (page->kind != PAGE_FREE) {
            at += page->kind == PAGE_RUN ? page->run : 1;
            length = 0;
            continue;
        }
        at++;
        if (++length == count) {
            return at - count;
        }
    }
    return 0;
}

static void *pages_take(struct chunk *chunk, u32 count)
{
    if (chunk->free < count || chunk->single) {
        return NULL;
    }
    u32 at = run_find(chunk, chunk->hint, PAGES, count);
    if (!at) {
        at = run_find(chunk, HEAD_PAGES, PAGES, count);
    }
    if (!at) {
        return NULL;
    }
    chunk->pages[at] = (struct page){.kind = PAGE_RUN, .run = (u16)count};
    for (u32 i = 1; i < count; i++) {
        chunk->pages[at + i].kind = PAGE_LATER;
    }
    chunk->free -= count;
    chunk->hint = at + count;
    return base_of(chunk) + (size_t)at * PAGE;
}

static void *pages_alloc(u64 size)
{
    u64 count = (size + PAGE - 1) / PAGE;
    if (count > PAGES - HEAD_PAGES) {
        struct chunk *chunk = chunk_create(size + (u64)HEAD_PAGES * PAGE);
        if (chunk) {
            chunk->single = true;
        }
        return chunk ? base_of(chunk) + (size_t)HEAD_PAGES * PAGE : NULL;
    }
    struct chunk *chunk;
    LIST_FOREACH (&port.chunks, chunk, node) {
        void *p = pages_take(chunk, (u32)count);
        if (p) {
            return p;
        }
    }
    chunk = chunk_create(CHUNK);
    return chunk ? pages_take(chunk, (u32)count) : NULL;
}

/* A page becomes pieces, and they its list of free ones. */
static struct page *page_cut(u32 class)
{
    u8 *at = pages_alloc(PAGE);
    if (!at) {
        return NULL;
    }
    struct chunk *chunk = chunk_of(at);
    struct page *page = &chunk->pages[(size_t)(at - base_of(chunk)) / PAGE];
    u32 size = sizes[class], next = NO_PIECE;
    for (u32 offset = (PAGE / size - 1) * size;; offset -= size) {
        *(u16 *)(void *)(at + offset) = (u16)next;
        next = offset;
        if (offset == 0) {
            break;
        }
    }
    *page = (struct page){.kind = PAGE_CUT, .size_class = (u8) class, .first_free = 0};
    list_add_head(&port.cut[class], &page->link);
    return page;
}

static u8 *bytes_of(struct page *page)
{
    struct chunk *chunk = chunk_of(page);
    return base_of(chunk) + (size_t)(page - chunk->pages) * PAGE;
}

void *os_alloc(size_t size)
{
    if (size > CUT_MAX) {
        return pages_alloc(size);
    }
    u32 class = 0;
    while (sizes[class] < size) {
        class ++;
    }
    struct page *page = list_is_empty(&port.cut[class])
                            ? page_cut(class)
                            : LIST_FIRST(&port.cut[class], struct page, link);
    if (!page) {
        return NULL;
    }
    u8 *piece = bytes_of(page) + page->first_free;
    page->used++;
    page->first_free = *(u16 *)(void *)piece;
    if (page->first_free == NO_PIECE) {
        list_remove(&page->link); /* inv 2 */
    }
    return piece;
}

void os_free(void *p)
{
    if (!p) {
        return;
    }
    struct chunk *chunk = chunk_of(p);
    if (chunk->single) {
        chunk_destroy(chunk);
        return;
    }
    u32 offset = (u32)((u8 *)p - base_of(chunk)), at = offset / PAGE;
    struct page *page = &chunk->pages[at];
    if (page->kind == PAGE_CUT) {
        if (page->first_free == NO_PIECE) {
            list_add_head(&port.cut[page->size_class], &page->link);
        }
        *(u16 *)p = page->first_free;
        page->first_free = (u16)(offset % PAGE);
        if (--page->used > 0) {
            return;
        }
        list_remove(&page->link); /* inv 2 */
        page->run = 1;
    } else {
        HX_ASSERT(page->kind == PAGE_RUN && offset % PAGE == 0);
    }
    u32 count = page->run;
    for (u32 i = 0; i < count; i++) {
        chunk->pages[at + i].kind = PAGE_FREE;
    }
    chunk->free += count;
    chunk->hint = at;
    if (chunk->free == PAGES - HEAD_PAGES && port.chunks.next != port.chunks.prev) {
        chunk_destroy(chunk); /* all but the last one go back */
    }
}

/* Locks: callers come one at a time. */

struct os_mutex {
    bool held;
};

struct os_mutex *os_mutex_create(void)
{
    struct os_mutex *mutex = os_alloc(sizeof(*mutex));
    if (mutex) {
        mutex->held = false;
    }
    return mutex;
}

void os_mutex_destroy(struct os_mutex *mutex)
{
    os_free(mutex);
}

void os_mutex_acquire(struct os_mutex *mutex)
{
    HX_ASSERT(!mutex->held);
    mutex->held = true;
}

void os_mutex_release(struct os_mutex *mutex)
{
    mutex->held = false;
}

/* Time and chance */

s64 os_time_ns(void)
{
    return fs_module_time_ns();
}

void os_random(void *buf, size_t n)
{
    for (u8 *at = buf; n > 0;) {
        u64 word = fs_module_random();
        size_t part = hx_min_u64(n, sizeof(word));
        memcpy(at, &word, part);
        at += part;
        n -= part;
    }
}

/* CRC-32C: an instruction for eight bytes, or tables (eight bytes at a time). */

static void crc_tables_fill(void)
{
    for (u32 i = 0; i < 256; i++) {
        u32 crc = i;
        for (u32 bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
        }
        port.crc_table[0][i] = crc;
    }
    for (u32 i = 0; i < 256; i++) {
        for (u32 t = 1; t < 8; t++) {
            u32 before = port.crc_table[t - 1][i];
            port.crc_table[t][i] = before >> 8 ^ port.crc_table[0][before & 0xff];
        }
    }
}

static u32 crc_word(u32 crc, u64 word)
{
    word ^= crc;
    crc = 0;
    for (u32 i = 0; i < 8; i++) {
        crc ^= port.crc_table[7 - i][word >> 8 * i & 0xff];
    }
    return crc;
}

u32 os_crc32c(u32 crc, const void *data, size_t n)
{
    const u8 *p = data;
    crc = ~crc;
    if (port.has_crc) {
        for (; n >= 64; n -= 64, p += 64) {
            crc = hal_crc32c(crc, hx_load_le64(p));
            crc = hal_crc32c(crc, hx_load_le64(p + 8));
            crc = hal_crc32c(crc, hx_load_le64(p + 16));
            crc = hal_crc32c(crc, hx_load_le64(p + 24));
            crc = hal_crc32c(crc, hx_load_le64(p + 32));
            crc = hal_crc32c(crc, hx_load_le64(p + 40));
            crc = hal_crc32c(crc, hx_load_le64(p + 48));
            crc = hal_crc32c(crc, hx_load_le64(p + 56));
        }
        for (; n >= 8; n -= 8, p += 8) {
            crc = hal_crc32c(crc, hx_load_le64(p));
        }
    } else {
        for (; n >= 8; n -= 8, p += 8) {
            crc = crc_word(crc, hx_load_le64(p));
        }
    }
    for (; n > 0; n--) {
        crc = crc >> 8 ^ port.crc_table[0][(crc ^ *p++) & 0xff];
    }
    return ~crc;
}

enum hx_status port_init(struct module *self)
{
    port.self = self;
    list_init(&port.chunks);
    for (u32 i = 0; i < SIZES_COUNT; i++) {
        list_init(&port.cut[i]);
    }
    port.has_crc = hal_crc32c_is_supported();
    crc_tables_fill();
    return chunk_create(CHUNK) ? HX_OK : HX_ERR_NO_MEMORY;
}

void port_fini(void)
{
    struct chunk *chunk, *next;
    LIST_FOREACH_SAFE (&port.chunks, chunk, next, node) {
        chunk_destroy(chunk);
    }
}
