/* SPDX-License-Identifier: MIT */
/* core/debug: names of functions, and backtraces by frame records.
 */
#include <core/debug.h>
#include <hal/port.h>
#include <ktest.h>

extern const char __text_start[], __text_end[], __rodata_start[];

static struct {
    u32 count;
    struct symbol names[8];
    volatile u32 work; /* keeps calls from becoming jumps, and functions from being merged */
} trace;

static void visit(void *ctx, u32 depth, vaddr_t pc)
{
    (void)ctx;
    if (depth == trace.count && depth < HX_ARRAY_SIZE(trace.names) &&
        !symbol_lookup(pc - 1, &trace.names[depth])) {
        trace.names[depth] = (struct symbol){"?", 0};
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
    struct symbol symbol;
    KTEST_ASSERT(symbol_lookup((vaddr_t)backtrace_level_one, &symbol));
    KTEST_STRING(symbol.name, "backtrace_level_one");
    KTEST_EQUAL(symbol.offset, 0);
    KTEST_ASSERT(symbol_lookup((vaddr_t)backtrace_level_one + 5, &symbol));
    KTEST_STRING(symbol.name, "backtrace_level_one");
    KTEST_EQUAL(symbol.offset, 5);
}

KTEST(symbols, what_is_no_code_has_no_name)
{
    struct symbol symbol = {"untouched", 7};
    KTEST_ASSERT(!symbol_lookup(0, &symbol));
    KTEST_ASSERT(!symbol_lookup((vaddr_t)__text_start - 1, &symbol));
    KTEST_ASSERT(!symbol_lookup((vaddr_t)__text_end, &symbol));
    KTEST_ASSERT(!symbol_lookup((vaddr_t)__rodata_start, &symbol));
    KTEST_ASSERT(!symbol_lookup(UINT64_MAX, &symbol));
    KTEST_STRING(symbol.name, "untouched");
    KTEST_EQUAL(symbol.offset, 7);
}

KTEST(backtrace, names_the_callers_inside_out)
{
    begin();
    backtrace_level_one(20);
    KTEST_ASSERT(trace.count > 4);
    KTEST_STRING(trace.names[0].name, "backtrace_level_two");
    KTEST_STRING(trace.names[1].name, "backtrace_level_one");
    KTEST_STRING(trace.names[2].name, "ktest_backtrace_names_the_callers_inside_out");
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
