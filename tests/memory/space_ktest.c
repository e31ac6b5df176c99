/* SPDX-License-Identifier: MIT */
/* User address spaces and memory objects inside the kernel, without user mode: the test makes a
 * space current and reaches into it by the user copies, whose faults it resolves as the kernel
 * does. Context: thread; each test leaves as many frames free as it found, once caches are trimmed.
 */
#include <core/cpu.h>
#include <core/memory.h>
#include <core/task.h>
#include <core/trap.h>
#include <hal/context.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory/object.h>
#include <memory/space.h>
#include <memory_settle.h>

#define PAGE     HX_PAGE_SIZE
#define LIMIT    100000
#define BASE     0x0000400000000000ul
#define NO_LIMIT UINT64_MAX

static struct {
    struct space *space;
    const char *reason; /* of the last fault that was not resolved */
    u64 free, tables;
} test;

static u64 random_next(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Faults of the copies below: resolved with interrupts on, as for a real process. */
static bool on_trap(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    (void)ctx;
    if (trap->kind != TRAP_PAGE_FAULT || trap->address >= USER_SPACE_END) {
        return false;
    }
    hal_irq_enable();
    bool resolved =
        space_fault(test.space, trap->address, trap->access, trap->present, &test.reason);
    hal_irq_disable();
    return resolved || hal_user_copy_fixup(frame);
}

static void use(struct space *space)
{
    u64 irqs = hal_irq_save();
    test.space = space;
    task_current()->space = space; /* so that a switch away and back loads it again */
    space_activate(space);
    hal_irq_restore(irqs);
}

static void begin(struct space **out_space)
{
    test.free = memory_settle();
    test.tables = frame_count_owner(FRAME_PAGE_TABLE);
    test.reason = "";
    KTEST_ASSERT(trap_handler_push(on_trap, NULL));
    KTEST_STATUS(space_create(LIMIT, out_space), HX_OK);
    use(*out_space);
}

static void end(struct space *space)
{
    u32 owner = space_owner(space);
    use(NULL);
    space_destroy(space);
    trap_handler_pop(on_trap);
    memory_trim();
    KTEST_EQUAL(frame_count_owner(owner), 0);
    KTEST_EQUAL(frame_count_owner(FRAME_PAGE_TABLE), test.tables);
    KTEST_EQUAL(frame_count_owner(FRAME_SHARED), 0);
    KTEST_EQUAL(frame_free_count(), test.free);
}

static enum hx_status map_anonymous(struct space *space, vaddr_t at, u64 size, u32 flags,
                                    vaddr_t *out)
{
    struct space_request r = {
        .address = at, .size = size, .flags = flags, .backing = SPACE_ANONYMOUS};
    return space_map(space, &r, out);
}

static enum hx_status write_word(vaddr_t at, u64 value)
{
    return user_copy_out(at, &value, sizeof(value));
}

/* The word there; ~0 when it cannot be read. */
static u64 read_word(vaddr_t at)
{
    u64 value;
    return user_copy_in(&value, at, sizeof(value)) == HX_OK ? value : ~0ull;
}

KTEST(space, anonymous_memory_is_zero_and_appears_when_touched)
{
    struct space *s;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(map_anonymous(s, 0, 10 * PAGE - 5, SPACE_WRITE, &at), HX_OK);
    KTEST_ASSERT(at >= SPACE_CHOOSE_FIRST && hx_is_aligned(at, PAGE));
    KTEST_EQUAL(space_resident_pages(s), 0);
    KTEST_EQUAL(read_word(at + 3 * PAGE + 8), 0);
    KTEST_STATUS(write_word(at + 5 * PAGE - 4, 0x1122334455667788ull), HX_OK); /* two pages */
    KTEST_EQUAL(read_word(at + 5 * PAGE - 4), 0x1122334455667788ull);
    KTEST_EQUAL(space_resident_pages(s), 3);
    KTEST_EQUAL(frame_count_owner(space_owner(s)), 3);
    KTEST_CALL(end(s));
}

KTEST(space, bad_requests_are_refused)
{
    struct space *s;
    struct memory_object *object;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(memory_object_create(3 * PAGE, &object), HX_OK);
    const struct {
        struct space_request r;
        enum hx_status want;
    } cases[] = {
        {{.size = 0}, HX_ERR_INVALID},
        {{.size = UINT64_MAX}, HX_ERR_INVALID},
        {{.address = PAGE, .size = PAGE}, HX_ERR_INVALID},
        {{.address = BASE + 1, .size = PAGE}, HX_ERR_INVALID},
        {{.address = USER_SPACE_END - PAGE, .size = 2 * PAGE}, HX_ERR_INVALID},
        {{.address = USER_SPACE_END, .size = PAGE}, HX_ERR_INVALID},
        {{.address = DIRECT_MAP_BASE, .size = PAGE}, HX_ERR_INVALID},
        {{.address = UINT64_MAX - PAGE + 1, .size = 2 * PAGE}, HX_ERR_INVALID},
        {{.size = PAGE, .flags = SPACE_WRITE | SPACE_EXEC}, HX_ERR_INVALID},
        {{.size = PAGE, .flags = 8}, HX_ERR_INVALID},
        {{.size = PAGE, .backing = SPACE_BACKINGS}, HX_ERR_INVALID},
        {{.size = PAGE, .backing = SPACE_OBJECT}, HX_ERR_INVALID},
        {{.size = 4 * PAGE, .backing = SPACE_OBJECT, .object = object}, HX_ERR_INVALID},
        {{.size = PAGE, .backing = SPACE_OBJECT, .object = object, .offset = 3 * PAGE},
         HX_ERR_INVALID},
        {{.size = PAGE, .backing = SPACE_OBJECT, .object = object, .offset = 8}, HX_ERR_INVALID},
        {{.size = PAGE, .backing = SPACE_DATA, .data = cases, .data_size = PAGE + 1},
         HX_ERR_INVALID},
        {{.size = PAGE, .backing = SPACE_DATA, .data_size = 1}, HX_ERR_INVALID},
        {{.size = USER_SPACE_END - SPACE_CHOOSE_FIRST + PAGE}, HX_ERR_NO_SPACE},
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(cases); i++) {
        KTEST_STATUS(space_map(s, &cases[i].r, &at), cases[i].want);
    }
    KTEST_STATUS(map_anonymous(s, BASE, 4 * PAGE, 0, &at), HX_OK);
    KTEST_STATUS(map_anonymous(s, BASE + 3 * PAGE, PAGE, 0, &at), HX_ERR_EXISTS);
    KTEST_STATUS(map_anonymous(s, BASE - PAGE, 2 * PAGE, 0, &at), HX_ERR_EXISTS);
    KTEST_STATUS(space_unmap(s, BASE + 4 * PAGE, PAGE), HX_ERR_NOT_FOUND);
    KTEST_STATUS(space_unmap(s, BASE + 1, PAGE), HX_ERR_INVALID);
    KTEST_STATUS(space_unmap(s, DIRECT_MAP_BASE, PAGE), HX_ERR_INVALID);
    KTEST_STATUS(space_protect(s, BASE, 5 * PAGE, 0), HX_ERR_NOT_FOUND);
    KTEST_STATUS(space_protect(s, BASE, PAGE, SPACE_WRITE | SPACE_EXEC), HX_ERR_INVALID);
    memory_object_put(object);
    KTEST_CALL(end(s));
}

KTEST(space, faults_say_why)
{
    struct space *s;
    vaddr_t at;
    const char *why = NULL;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(map_anonymous(s, BASE, PAGE, 0, &at), HX_OK);
    struct space_request guard = {.address = BASE + PAGE, .size = 2 * PAGE, .backing = SPACE_GUARD};
    KTEST_STATUS(space_map(s, &guard, &at), HX_OK);
    const struct {
        vaddr_t va;
        u32 access;
        const char *why;
    } cases[] = {
        {0, ACCESS_READ, "null pointer"},
        {SPACE_LOWEST - 1, ACCESS_WRITE, "null pointer"},
        {BASE - 1, ACCESS_READ, "nothing is mapped there"},
        {BASE, ACCESS_WRITE, "the memory is read-only"},
        {BASE, ACCESS_EXECUTE, "the memory is not executable"},
        {BASE + PAGE, ACCESS_READ, "guard page: a stack or a buffer overflowed"},
        {USER_SPACE_END, ACCESS_READ, "the address is not user memory"},
        {DIRECT_MAP_BASE, ACCESS_READ, "the address is not user memory"},
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(cases); i++) {
        KTEST_ASSERT(!space_fault(s, cases[i].va, cases[i].access, false, &why));
        KTEST_STRING(why, cases[i].why);
    }
    KTEST_ASSERT(!space_fault(NULL, BASE, ACCESS_READ, false, &why));
    KTEST_EQUAL(read_word(BASE), 0);
    KTEST_STATUS(write_word(BASE, 1), HX_ERR_FAULT);
    KTEST_STATUS(write_word(BASE + PAGE, 1), HX_ERR_FAULT);
    KTEST_STATUS(write_word(0, 1), HX_ERR_FAULT);
    KTEST_STATUS(write_word(DIRECT_MAP_BASE, 1), HX_ERR_FAULT);
    KTEST_STATUS(write_word(USER_SPACE_END - 4, 1), HX_ERR_FAULT);
    KTEST_STATUS(write_word(UINT64_MAX - 3, 1), HX_ERR_FAULT);
    KTEST_CALL(end(s));
}

KTEST(space, unmap_in_the_middle_keeps_both_sides)
{
    struct space *s;
    struct space_info info;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(map_anonymous(s, BASE, 9 * PAGE, SPACE_WRITE, &at), HX_OK);
    for (u32 i = 0; i < 9; i++) {
        KTEST_STATUS(write_word(BASE + i * PAGE, i + 1), HX_OK);
    }
    KTEST_STATUS(space_unmap(s, BASE + 3 * PAGE, 2 * PAGE), HX_OK);
    KTEST_EQUAL(space_resident_pages(s), 7);
    for (u32 i = 0; i < 9; i++) {
        KTEST_EQUAL(read_word(BASE + i * PAGE), i == 3 || i == 4 ? ~0ull : i + 1);
    }
    KTEST_STATUS(space_query(s, BASE + 4 * PAGE, &info), HX_OK);
    KTEST_EQUAL(info.start, BASE + 5 * PAGE);
    KTEST_EQUAL(info.size, 4 * PAGE);
    KTEST_STATUS(map_anonymous(s, BASE + 3 * PAGE, 2 * PAGE, SPACE_WRITE, &at), HX_OK);
    KTEST_EQUAL(read_word(BASE + 3 * PAGE), 0); /* new pages are new */
    KTEST_STATUS(space_query(s, BASE, &info), HX_OK);
    KTEST_EQUAL(info.size, 9 * PAGE); /* joined again */
    KTEST_STATUS(space_unmap(s, BASE - PAGE, 20 * PAGE), HX_OK);
    KTEST_EQUAL(space_resident_pages(s), 0);
    KTEST_CALL(end(s));
}

KTEST(space, protect_takes_effect_at_once)
{
    struct space *s;
    struct space_info info;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(map_anonymous(s, BASE, 4 * PAGE, SPACE_WRITE, &at), HX_OK);
    KTEST_STATUS(write_word(BASE + PAGE, 7), HX_OK);
    KTEST_STATUS(space_protect(s, BASE + PAGE, PAGE, 0), HX_OK);
    KTEST_STATUS(write_word(BASE + PAGE, 8), HX_ERR_FAULT);
    KTEST_EQUAL(read_word(BASE + PAGE), 7);
    KTEST_STATUS(write_word(BASE, 9), HX_OK);
    KTEST_STATUS(space_protect(s, BASE + PAGE, PAGE, SPACE_EXEC), HX_OK);
    KTEST_ASSERT(space_fault(s, BASE + PAGE, ACCESS_EXECUTE, true, &test.reason));
    KTEST_STATUS(space_protect(s, BASE + PAGE, PAGE, SPACE_WRITE), HX_OK);
    KTEST_ASSERT(!space_fault(s, BASE + PAGE, ACCESS_EXECUTE, true, &test.reason));
    KTEST_STATUS(write_word(BASE + PAGE, 8), HX_OK);
    KTEST_EQUAL(read_word(BASE + PAGE), 8);
    KTEST_STATUS(space_query(s, BASE, &info), HX_OK);
    KTEST_EQUAL(info.size, 4 * PAGE); /* one region again */
    KTEST_CALL(end(s));
}

KTEST(space, data_is_copied_and_the_rest_is_zero)
{
    static u8 data[2 * HX_PAGE_SIZE + 100];
    struct space *s;
    vaddr_t at;
    for (u32 i = 0; i < sizeof(data); i++) {
        data[i] = (u8)(i * 7 + 1);
    }
    KTEST_CALL(begin(&s));
    struct space_request r = {.address = BASE,
                              .size = 4 * PAGE,
                              .flags = SPACE_WRITE,
                              .backing = SPACE_DATA,
                              .data = data,
                              .data_size = sizeof(data)};
    KTEST_STATUS(space_map(s, &r, &at), HX_OK);
    KTEST_STATUS(space_unmap(s, BASE, PAGE), HX_OK); /* what is left begins inside the data */
    for (u32 i = PAGE; i < 4 * PAGE; i += 50) {
        u8 byte;
        KTEST_STATUS(user_copy_in(&byte, BASE + i, 1), HX_OK);
        KTEST_EQUAL(byte, i < sizeof(data) ? data[i] : 0);
    }
    KTEST_STATUS(write_word(BASE + PAGE, 1), HX_OK);
    KTEST_EQUAL(data[PAGE], (u8)(PAGE * 7 + 1)); /* a copy */
    KTEST_CALL(end(s));
}

KTEST(space, object_is_shared_and_private_writes_are_not)
{
    struct space *s, *other;
    struct memory_object *object;
    vaddr_t a, b, c;
    u64 word = 5;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(space_create(NO_LIMIT, &other), HX_OK);
    KTEST_STATUS(memory_object_create(5 * PAGE, &object), HX_OK);
    KTEST_STATUS(memory_object_write(object, 2 * PAGE + 16, &word, sizeof(word)), HX_OK);
    struct space_request r = {.size = 3 * PAGE,
                              .flags = SPACE_WRITE,
                              .backing = SPACE_OBJECT,
                              .object = object,
                              .offset = 2 * PAGE};
    KTEST_STATUS(space_map(s, &r, &a), HX_OK);
    KTEST_STATUS(space_map(other, &r, &b), HX_OK);
    r.flags |= SPACE_PRIVATE;
    KTEST_STATUS(space_map(s, &r, &c), HX_OK);
    memory_object_put(object); /* the regions keep it */
    KTEST_EQUAL(read_word(a + 16), 5);
    KTEST_EQUAL(read_word(c + 16), 5);
    KTEST_STATUS(write_word(a + 16, 6), HX_OK);
    KTEST_EQUAL(read_word(c + 16), 6); /* not copied so far */
    KTEST_STATUS(write_word(c + 16, 7), HX_OK);
    KTEST_EQUAL(read_word(a + 16), 6);
    KTEST_STATUS(write_word(c + PAGE, 8), HX_OK); /* written before it was ever read */
    KTEST_EQUAL(read_word(a + PAGE), 0);
    KTEST_STATUS(memory_object_read(object, 2 * PAGE + 16, &word, sizeof(word)), HX_OK);
    KTEST_EQUAL(word, 6);
    KTEST_EQUAL(space_resident_pages(s), 2);
    use(other);
    KTEST_EQUAL(read_word(b + 16), 6);
    KTEST_STATUS(write_word(b + 2 * PAGE, 9), HX_OK);
    use(s);
    KTEST_EQUAL(read_word(a + 2 * PAGE), 9);
    space_destroy(other);
    KTEST_EQUAL(read_word(a + 2 * PAGE), 9);
    KTEST_CALL(end(s));
    KTEST_EQUAL(frame_count_owner(FRAME_OBJECT), 0);
}

KTEST(space, copy_on_write_keeps_the_sides_apart)
{
    struct space *s, *other;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(space_create(NO_LIMIT, &other), HX_OK);
    KTEST_STATUS(map_anonymous(s, BASE, 50 * PAGE, SPACE_WRITE, &at), HX_OK);
    for (u32 i = 0; i < 45; i++) {
        KTEST_STATUS(write_word(BASE + i * PAGE, 100 + i), HX_OK);
    }
    KTEST_STATUS(space_copy(s, other, BASE, 50 * PAGE), HX_OK);
    KTEST_STATUS(space_copy(s, other, BASE, 50 * PAGE), HX_ERR_EXISTS);
    KTEST_STATUS(space_copy(s, other, BASE + 60 * PAGE, PAGE), HX_ERR_NOT_FOUND);
    KTEST_EQUAL(frame_count_owner(FRAME_SHARED), 45);
    KTEST_STATUS(write_word(BASE, 1), HX_OK);
    KTEST_STATUS(write_word(BASE + 45 * PAGE, 2), HX_OK);
    use(other);
    KTEST_EQUAL(read_word(BASE), 100);
    KTEST_EQUAL(read_word(BASE + 45 * PAGE), 0);
    KTEST_STATUS(write_word(BASE, 3), HX_OK); /* the last that has it takes it over */
    KTEST_STATUS(write_word(BASE + 2 * PAGE, 4), HX_OK);
    use(s);
    KTEST_EQUAL(read_word(BASE), 1);
    KTEST_EQUAL(read_word(BASE + 2 * PAGE), 102);
    KTEST_EQUAL(frame_count_owner(FRAME_SHARED), 44);
    KTEST_STATUS(space_unmap(s, BASE + PAGE, 40 * PAGE), HX_OK); /* more than one batch of shared */
    use(other);
    for (u32 i = 3; i < 45; i++) {
        KTEST_EQUAL(read_word(BASE + i * PAGE), 100 + i);
        KTEST_STATUS(write_word(BASE + i * PAGE, i), HX_OK);
    }
    use(s);
    space_destroy(other);
    KTEST_EQUAL(read_word(BASE + 44 * PAGE), 144);
    KTEST_CALL(end(s));
}

KTEST(space, unmap_returns_the_page_tables)
{
    struct space *s;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    u64 tables = frame_count_owner(FRAME_PAGE_TABLE);
    for (u32 i = 0; i < 20; i++) {
        vaddr_t va = BASE + i * HX_GIB(513);
        KTEST_STATUS(map_anonymous(s, va, PAGE, SPACE_WRITE, &at), HX_OK);
        KTEST_STATUS(write_word(va, i), HX_OK);
    }
    KTEST_EQUAL(frame_count_owner(FRAME_PAGE_TABLE), tables + 20 * 3);
    KTEST_STATUS(space_unmap(s, SPACE_LOWEST, USER_SPACE_END - SPACE_LOWEST), HX_OK);
    memory_trim();
    KTEST_EQUAL(frame_count_owner(FRAME_PAGE_TABLE), tables);
    KTEST_CALL(end(s));
}

/* The size of the page at `at`; 0: none. */
static u64 leaf_size(struct space *space, vaddr_t at)
{
    struct space_page page;
    return space_page_query(space, at, &page) == HX_OK ? page.size : 0;
}

static void fill_large(vaddr_t at)
{
    for (u32 i = 0; i < HX_MIB(2) / PAGE; i++) {
        KTEST_STATUS(write_word(at + i * PAGE, i + 1), HX_OK);
    }
}

/* Pages [from, to) of it are absent, the others hold what fill_large() wrote. */
static void expect_large(vaddr_t at, u32 from, u32 to)
{
    for (u32 i = 0; i < HX_MIB(2) / PAGE; i++) {
        KTEST_EQUAL(read_word(at + i * PAGE), i >= from && i < to ? ~0ull : i + 1);
    }
}

KTEST(space, large_pages_appear_where_they_fit)
{
    struct space *s;
    vaddr_t at, small;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(space_map_anonymous(s, 0, PAGE, SPACE_WRITE, &small), HX_OK);
    KTEST_STATUS(space_map_anonymous(s, 0, HX_MIB(4), SPACE_WRITE | SPACE_LARGE, &at), HX_OK);
    KTEST_ASSERT(hx_is_aligned(at, HX_MIB(2)));
    KTEST_EQUAL(read_word(at + 5 * PAGE), 0);
    KTEST_EQUAL(leaf_size(s, at), HX_MIB(2));
    KTEST_EQUAL(space_resident_pages(s), 512);
    KTEST_EQUAL(frame_count_owner(space_owner(s)), 512);
    KTEST_CALL(fill_large(at));
    KTEST_CALL(expect_large(at, 0, 0));
    KTEST_EQUAL(space_resident_pages(s), 512);
    KTEST_EQUAL(leaf_size(s, at + HX_MIB(2)), 0);
    /* Where the ends of the region cut it off, or a page is there already, pages are single. */
    KTEST_STATUS(space_unmap(s, at, HX_MIB(4)), HX_OK);
    KTEST_EQUAL(space_resident_pages(s), 0);
    KTEST_STATUS(
        space_map_anonymous(s, BASE + PAGE, HX_MIB(4) - PAGE, SPACE_WRITE | SPACE_LARGE, &at),
        HX_OK);
    KTEST_STATUS(write_word(BASE + PAGE, 1), HX_OK);
    KTEST_EQUAL(leaf_size(s, BASE + PAGE), PAGE);
    KTEST_STATUS(write_word(BASE + HX_MIB(4) - PAGE, 1), HX_OK);
    KTEST_EQUAL(leaf_size(s, BASE + HX_MIB(2)), HX_MIB(2));
    KTEST_EQUAL(space_resident_pages(s), 513);
    KTEST_CALL(end(s)); /* with all of them in it */
}

KTEST(space, large_pages_are_split_before_a_part_changes)
{
    struct space *s, *other;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(space_map_anonymous(s, BASE, HX_MIB(4), SPACE_WRITE | SPACE_LARGE, &at), HX_OK);
    KTEST_CALL(fill_large(BASE));
    KTEST_CALL(fill_large(BASE + HX_MIB(2)));
    KTEST_STATUS(space_unmap(s, BASE + 100 * PAGE, PAGE), HX_OK);
    KTEST_EQUAL(leaf_size(s, BASE), PAGE);
    KTEST_EQUAL(leaf_size(s, BASE + HX_MIB(2)), HX_MIB(2));
    KTEST_EQUAL(space_resident_pages(s), 1023);
    KTEST_CALL(expect_large(BASE, 100, 101));
    KTEST_STATUS(space_protect(s, BASE + HX_MIB(2) + 7 * PAGE, 3 * PAGE, 0), HX_OK);
    KTEST_EQUAL(leaf_size(s, BASE + HX_MIB(2)), PAGE);
    for (u32 i = 0; i < 16; i++) {
        KTEST_STATUS(write_word(BASE + HX_MIB(2) + i * PAGE, i + 1),
                     i >= 7 && i < 10 ? HX_ERR_FAULT : HX_OK);
    }
    KTEST_CALL(expect_large(BASE + HX_MIB(2), 0, 0));
    /* Whole large pages change as they are. */
    KTEST_STATUS(space_unmap(s, BASE, HX_MIB(4)), HX_OK);
    KTEST_EQUAL(space_resident_pages(s), 0);
    KTEST_STATUS(space_map_anonymous(s, BASE, HX_MIB(4), SPACE_WRITE | SPACE_LARGE, &at), HX_OK);
    KTEST_CALL(fill_large(BASE));
    KTEST_STATUS(space_protect(s, BASE, HX_MIB(2), 0), HX_OK);
    KTEST_EQUAL(leaf_size(s, BASE), HX_MIB(2));
    KTEST_STATUS(write_word(BASE, 0), HX_ERR_FAULT);
    KTEST_STATUS(space_protect(s, BASE, HX_MIB(2), SPACE_WRITE), HX_OK);
    /* What is shared by copy-on-write is shared page by page. */
    KTEST_STATUS(space_create(NO_LIMIT, &other), HX_OK);
    KTEST_STATUS(space_copy(s, other, BASE, HX_MIB(4)), HX_OK);
    KTEST_EQUAL(leaf_size(s, BASE), PAGE);
    KTEST_STATUS(write_word(BASE + 3 * PAGE, 99), HX_OK);
    use(other);
    KTEST_CALL(expect_large(BASE, 0, 0));
    use(s);
    KTEST_EQUAL(read_word(BASE + 3 * PAGE), 99);
    space_destroy(other);
    KTEST_CALL(end(s));
}

KTEST(space, large_pages_need_memory_in_one_piece_and_room_in_the_limit)
{
    struct space *s, *poor;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(space_map_anonymous(s, BASE, HX_MIB(4), SPACE_WRITE | SPACE_LARGE, &at), HX_OK);
    KTEST_STATUS(write_word(BASE, 1), HX_OK);
    u64 free = frame_free_count();
    /* No table for the split: the unmap is refused and nothing has changed. */
    frame_fail_after(1);
    enum hx_status status = space_unmap(s, BASE + PAGE, PAGE);
    frame_fail_after(0);
    KTEST_STATUS(status, HX_ERR_NO_MEMORY);
    KTEST_EQUAL(frame_free_count(), free);
    KTEST_EQUAL(leaf_size(s, BASE), HX_MIB(2));
    KTEST_EQUAL(read_word(BASE + PAGE), 0);
    KTEST_STATUS(space_create(600, &poor), HX_OK);
    KTEST_STATUS(space_map_anonymous(poor, BASE, HX_MIB(4), SPACE_WRITE | SPACE_LARGE, &at), HX_OK);
    use(poor);
    KTEST_STATUS(write_word(BASE, 1), HX_OK);
    KTEST_STATUS(write_word(BASE + HX_MIB(2), 1), HX_OK);
    KTEST_EQUAL(space_resident_pages(poor), 513); /* the second did not fit as a whole */
    use(s);
    space_destroy(poor);
    KTEST_CALL(end(s));
}

KTEST(space, limits_hold)
{
    struct space *s, *small;
    vaddr_t at;
    KTEST_CALL(begin(&s));
    KTEST_STATUS(space_create(3, &small), HX_OK);
    use(small);
    KTEST_STATUS(map_anonymous(small, BASE, 10 * PAGE, SPACE_WRITE, &at), HX_OK);
    for (u32 i = 0; i < 3; i++) {
        KTEST_STATUS(write_word(BASE + i * PAGE, 1), HX_OK);
    }
    KTEST_STATUS(write_word(BASE + 3 * PAGE, 1), HX_ERR_FAULT);
    KTEST_STRING(test.reason, "the process's memory limit is reached");
    KTEST_STATUS(space_unmap(small, BASE, PAGE), HX_OK);
    KTEST_STATUS(write_word(BASE + 3 * PAGE, 1), HX_OK);
    use(s);
    space_destroy(small);
    u32 regions = 0;
    enum hx_status status;
    while ((status = map_anonymous(s, BASE + 2 * regions * PAGE, PAGE, 0, &at)) == HX_OK) {
        regions++;
    }
    KTEST_STATUS(status, HX_ERR_LIMIT);
    KTEST_EQUAL(regions, SPACE_REGIONS_MAX);
    KTEST_CALL(end(s));
}

#define MODEL_PAGES 48

/* Random maps, unmaps, protections, writes and reads against what they should do. */
KTEST(space, random_changes_agree_with_a_model)
{
    static struct {
        bool mapped, writable;
        u64 value;
    } model[MODEL_PAGES];
    struct space *s;
    vaddr_t at;
    u64 state = 424242;
    KTEST_CALL(begin(&s));
    memset(model, 0, sizeof(model));
    for (u32 round = 0; round < 6000; round++) {
        u32 first = random_next(&state) % MODEL_PAGES;
        u32 count = 1 + random_next(&state) % 6;
        u32 op = random_next(&state) % 6;
        bool flag = random_next(&state) & 1, any = false, all = true;
        count = first + count > MODEL_PAGES ? MODEL_PAGES - first : count;
        for (u32 i = first; i < first + count; i++) {
            any |= model[i].mapped;
            all &= model[i].mapped;
        }
        vaddr_t va = BASE + first * PAGE;
        enum hx_status status, want;
        switch (op) {
        case 0:
            status = map_anonymous(s, va, count * PAGE, flag ? SPACE_WRITE : 0, &at);
            want = any ? HX_ERR_EXISTS : HX_OK;
            break;
        case 1:
            status = space_unmap(s, va, count * PAGE);
            want = any ? HX_OK : HX_ERR_NOT_FOUND;
            break;
        case 2:
            status = space_protect(s, va, count * PAGE, flag ? SPACE_WRITE : 0);
            want = all ? HX_OK : HX_ERR_NOT_FOUND;
            break;
        case 3:
            status = write_word(va + 24, round);
            want = model[first].mapped && model[first].writable ? HX_OK : HX_ERR_FAULT;
            model[first].value = status == HX_OK ? round : model[first].value;
            count = 0;
            break;
        default:
            KTEST_EQUAL(read_word(va + 24), model[first].mapped ? model[first].value : ~0ull);
            status = want = HX_OK;
            count = 0;
        }
        KTEST_STATUS(status, want);
        for (u32 i = first; status == HX_OK && i < first + count; i++) {
            model[i].value = op == 2 ? model[i].value : 0;
            model[i].mapped = op != 1;
            model[i].writable = op == 1 ? false : flag;
        }
    }
    KTEST_CALL(end(s));
}

/* A life of a space, given up at the first failure. True when nothing failed. */
static bool scenario(void)
{
    struct space *a = NULL, *b = NULL;
    struct memory_object *object = NULL;
    vaddr_t at;
    bool good = space_create(NO_LIMIT, &a) == HX_OK && space_create(NO_LIMIT, &b) == HX_OK &&
                memory_object_create(3 * PAGE, &object) == HX_OK;
    if (good) {
        use(a);
        struct space_request r = {.size = 3 * PAGE,
                                  .flags = SPACE_WRITE | SPACE_PRIVATE,
                                  .backing = SPACE_OBJECT,
                                  .object = object};
        good = map_anonymous(a, BASE, 40 * PAGE, SPACE_WRITE, &at) == HX_OK &&
               space_map(a, &r, &at) == HX_OK;
        for (u32 i = 0; good && i < 8; i++) {
            good = write_word(BASE + i * 5 * PAGE, i) == HX_OK;
        }
        good = good && write_word(at, 1) == HX_OK && read_word(at + PAGE) == 0 &&
               space_protect(a, BASE + 3 * PAGE, 9 * PAGE, 0) == HX_OK &&
               space_copy(a, b, BASE + PAGE, 35 * PAGE) == HX_OK &&
               space_unmap(a, BASE + 20 * PAGE, 2 * PAGE) == HX_OK;
        for (u32 i = 5; good && i < 8; i++) {
            good = write_word(BASE + i * 5 * PAGE, i) == HX_OK;
        }
        good = good &&
               space_map_anonymous(a, 2 * BASE / 3 & ~(HX_MIB(2) - 1), HX_MIB(4),
                                   SPACE_WRITE | SPACE_LARGE, &at) == HX_OK &&
               write_word(at, 1) == HX_OK && write_word(at + HX_MIB(2), 2) == HX_OK &&
               space_unmap(a, at + 5 * PAGE, PAGE) == HX_OK && read_word(at) == 1;
        use(NULL);
    }
    if (object) {
        memory_object_put(object);
    }
    if (b) {
        space_destroy(b);
    }
    if (a) {
        space_destroy(a);
    }
    return good;
}

static void fail_each(void (*fail_after)(u32 n))
{
    u64 before, index = 0;
    bool done = false;
    u32 n = 1;
    before = memory_settle();
    for (; !done; n++) {
        fail_after(n);
        done = scenario();
        fail_after(0);
        memory_trim();
        KTEST_EQUAL(frame_free_count() + index, before);
        KTEST_ASSERT(n < 1000);
    }
    KTEST_ASSERT(n > 8); /* it did fail */
}

KTEST(space, nth_failure_leaves_nothing_behind)
{
    KTEST_ASSERT(trap_handler_push(on_trap, NULL));
    fail_each(heap_fail_after);
    if (!ktest_has_failed()) {
        fail_each(frame_fail_after);
    }
    trap_handler_pop(on_trap);
}

/* On every CPU: reads the word through the space, which that CPU then has loaded. */
static struct {
    struct space *space;
    vaddr_t at;
    u64 seen[HAL_CPUS_MAX]; /* ~0: it could not */
} every;

static void read_here(void *arg)
{
    (void)arg;
    u64 value = 0;
    space_activate(every.space);
    every.seen[hal_cpu_number()] =
        hal_user_copy_in(&value, every.at, sizeof(value)) == 0 ? value : ~0ull;
}

static void leave_here(void *arg)
{
    (void)arg;
    space_activate(NULL);
}

/* In interrupt context nothing can be filled in. */
static bool on_trap_on_any_cpu(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    (void)ctx;
    return trap->kind == TRAP_PAGE_FAULT && hal_user_copy_fixup(frame);
}

static void all_see(u64 value)
{
    cpu_call(cpu_online_mask(), read_here, NULL);
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        if (cpu_is_online(cpu)) {
            KTEST_EQUAL(every.seen[cpu], value);
        }
    }
}

KTEST(space, changes_reach_every_cpu_that_has_the_tables)
{
    struct space *s;
    const char *why;
    if (cpu_online_count() < 2) {
        KTEST_SKIP("one CPU");
    }
    u64 before = memory_settle();
    KTEST_STATUS(space_create(NO_LIMIT, &s), HX_OK);
    every.space = s;
    KTEST_ASSERT(trap_handler_push(on_trap_on_any_cpu, NULL));
    for (u32 round = 0; round < 50; round++) {
        KTEST_STATUS(map_anonymous(s, BASE, 40 * PAGE, SPACE_WRITE, &every.at), HX_OK);
        every.at += (round % 40) * PAGE;
        for (u32 i = 0; i < 40; i++) {
            KTEST_STATUS(space_touch(s, BASE + i * PAGE, ACCESS_WRITE, &why), HX_OK);
        }
        KTEST_CALL(all_see(0));
        KTEST_STATUS(space_unmap(s, BASE + (round % 40) * PAGE, round % 2 ? PAGE : 40 * PAGE),
                     HX_OK);
        KTEST_CALL(all_see(~0ull));
        HX_IGNORE(space_unmap(s, BASE, 40 * PAGE), "nothing is left every other time");
    }
    cpu_call(cpu_online_mask(), leave_here, NULL);
    trap_handler_pop(on_trap_on_any_cpu);
    space_destroy(s);
    memory_trim();
    KTEST_EQUAL(frame_free_count(), before);
}
