/* SPDX-License-Identifier: MIT */
/* core/debug: names of functions, and backtraces by frame records.
 */
#include <core/debug.h>
#include <hal/port.h>
#include <ktest.h>

extern const char __text_start[], __text_end[], __rodata_start[];

static struct {
    u32 count;
    const char *names[8];
    volatile u32 work; /* keeps calls from becoming jumps, and functions from being merged */
} trace;

static void visit(void *ctx, u32 depth, vaddr_t pc)
{
    u64 offset;
    (void)ctx;
    if (depth == trace.count && depth < HX_ARRAY_SIZE(trace.names) &&
        !symbol_lookup(pc - 1, &trace.names[depth], &offset)) {
        trace.names[depth] = "?";
    }
    trace.count++;
}

static HX_NOINLINE HX_USED void backtrace_level_three(u32 max)
{
    backtrace_walk(hal_frame_pointer(), max, visit, NULL);
    trace.work = 3;
}

static HX_NOINLINE HX_USED void backtrace_level_two(u32 max)
{
    backtrace_level_three(max);
    trace.work = 2;
}

static HX_NOINLINE HX_USED void backtrace_level_one(u32 max)
{
    backtrace_level_two(max);
    trace.work = 1;
}

static void begin(void)
{
    memset(&trace, 0, sizeof(trace));
}

KTEST(symbols, function_is_found_by_any_address_in_it)
{
    const char *name;
    u64 offset;
    KTEST_ASSERT(symbol_lookup((vaddr_t)backtrace_level_one, &name, &offset));
    KTEST_STRING(name, "backtrace_level_one");
    KTEST_EQUAL(offset, 0);
    KTEST_ASSERT(symbol_lookup((vaddr_t)backtrace_level_one + 5, &name, &offset));
    KTEST_STRING(name, "backtrace_level_one");
    KTEST_EQUAL(offset, 5);
}

KTEST(symbols, what_is_no_code_has_no_name)
{
    const char *name = "untouched";
    u64 offset = 7;
    KTEST_ASSERT(!symbol_lookup(0, &name, &offset));
    KTEST_ASSERT(!symbol_lookup((vaddr_t)__text_start - 1, &name, &offset));
    KTEST_ASSERT(!symbol_lookup((vaddr_t)__text_end, &name, &offset));
    KTEST_ASSERT(!symbol_lookup((vaddr_t)__rodata_start, &name, &offset));
    KTEST_ASSERT(!symbol_lookup(UINT64_MAX, &name, &offset));
    KTEST_STRING(name, "untouched");
    KTEST_EQUAL(offset, 7);
}

KTEST(backtrace, names_the_callers_inside_out)
{
    begin();
    backtrace_level_one(20);
    KTEST_ASSERT(trace.count > 4);
    KTEST_STRING(trace.names[0], "backtrace_level_two");
    KTEST_STRING(trace.names[1], "backtrace_level_one");
    KTEST_STRING(trace.names[2], "ktest_backtrace_names_the_callers_inside_out");
}

KTEST(backtrace, stops_at_the_maximum)
{
    begin();
    backtrace_level_one(2);
    KTEST_EQUAL(trace.count, 2);
    begin();
    backtrace_level_one(0);
    KTEST_EQUAL(trace.count, 0);
}

KTEST(backtrace, survives_damaged_records)
{
    static vaddr_t records[8] HX_ALIGNED(16);
    static const vaddr_t bad[] = {
        0, 8, 0x1000, 0x7fffffffffff0, 0xdead0000dead0000, UINT64_MAX, UINT64_MAX - 15};
    for (u32 i = 0; i < HX_ARRAY_SIZE(bad); i++) {
        begin();
        backtrace_walk(bad[i], 10, visit, NULL);
        KTEST_EQUAL(trace.count, 0);
        records[0] = bad[i]; /* a good record that leads to a bad one */
        records[1] = (vaddr_t)__text_start + 1;
        begin();
        backtrace_walk((vaddr_t)records, 10, visit, NULL);
        KTEST_EQUAL(trace.count, 1);
    }
    records[0] = (vaddr_t)records; /* to itself */
    begin();
    backtrace_walk((vaddr_t)records, 10, visit, NULL);
    KTEST_EQUAL(trace.count, 1);
    records[0] = (vaddr_t)&records[4];
    records[4] = (vaddr_t)records; /* back */
    records[5] = (vaddr_t)__text_start + 1;
    begin();
    backtrace_walk((vaddr_t)records, 10, visit, NULL);
    KTEST_EQUAL(trace.count, 2);
    records[5] = 0; /* the end */
    begin();
    backtrace_walk((vaddr_t)records, 10, visit, NULL);
    KTEST_EQUAL(trace.count, 1);
    begin();
    backtrace_walk((vaddr_t)records + 8, 10, visit, NULL);
    KTEST_EQUAL(trace.count, 0);
}
