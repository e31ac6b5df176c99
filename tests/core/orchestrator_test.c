/* SPDX-License-Identifier: MIT */
/* The order of components: needs first, what cannot be ordered named and left out.
 */
#include <core/orchestrator.h>
#include <helix/compiler.h>
#include <helix/format.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct {
    char lines[8][256];
    u32 count;
} problems;

static void note(void *ctx, const char *line)
{
    (void)ctx;
    assert_true(problems.count < HX_ARRAY_SIZE(problems.lines));
    snprintf(problems.lines[problems.count++], sizeof(problems.lines[0]), "%s", line);
}

#define ORDER(components, order) order_of(components, HX_ARRAY_SIZE(components), order)

static u32 order_of(const struct component *components, u32 count, u8 *order)
{
    const struct component *list[COMPONENTS_MAX];
    for (u32 i = 0; i < count; i++) {
        list[i] = &components[i];
    }
    problems.count = 0;
    return components_order(list, count, order, note, NULL);
}

static u32 place_of(const u8 *order, u32 count, u32 index)
{
    for (u32 i = 0; i < count; i++) {
        if (order[i] == index) {
            return i;
        }
    }
    return COMPONENTS_MAX;
}

static void needs_come_first(void **state)
{
    (void)state;
    static const struct component components[] = {
        {.name = "shell", .needs = "files console"},
        {.name = "files", .needs = "disk memory"},
        {.name = "console", .needs = "memory"},
        {.name = "disk", .needs = "memory"},
        {.name = "memory"},
    };
    u8 order[COMPONENTS_MAX];
    assert_int_equal(ORDER(components, order), 5);
    static const u8 wanted[] = {4, 3, 1, 2, 0};
    assert_memory_equal(order, wanted, sizeof(wanted));
    assert_int_equal(problems.count, 0);
}

static void a_missing_need_is_named_and_its_dependents_left_out(void **state)
{
    (void)state;
    static const struct component components[] = {
        {.name = "top", .needs = "middle"},
        {.name = "middle", .needs = "base nosuch"},
        {.name = "base"},
        {.name = "bas", .needs = "ba"}, /* a prefix is another name */
    };
    u8 order[COMPONENTS_MAX];
    assert_int_equal(ORDER(components, order), 1);
    assert_int_equal(order[0], 2);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.lines[0], "middle needs nosuch, which does not exist");
    assert_string_equal(problems.lines[1], "bas needs ba, which does not exist");
}

static void a_cycle_is_named_and_the_rest_goes_on(void **state)
{
    (void)state;
    static const struct component components[] = {
        {.name = "on_top", .needs = "a"},
        {.name = "a", .needs = "b"},
        {.name = "b", .needs = "c"},
        {.name = "c", .needs = "d a"},
        {.name = "d"},
        {.name = "e", .needs = "d"},
        {.name = "self", .needs = "self"},
    };
    u8 order[COMPONENTS_MAX];
    assert_int_equal(ORDER(components, order), 2);
    assert_int_equal(order[0], 4);
    assert_int_equal(order[1], 5);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.lines[0], "cycle: a -> b -> c -> a");
    assert_string_equal(problems.lines[1], "cycle: self -> self");
}

static void a_star_comes_behind_all_others_even_flawed_ones(void **state)
{
    (void)state;
    static const struct component components[] = {
        {.name = "last", .needs = "*"}, {.name = "x", .needs = "nosuch"},
        {.name = "y", .needs = "z"},    {.name = "z"},
        {.name = "also", .needs = "*"},
    };
    u8 order[COMPONENTS_MAX];
    assert_int_equal(ORDER(components, order), 4);
    static const u8 wanted[] = {3, 2, 0, 4};
    assert_memory_equal(order, wanted, sizeof(wanted));
}

/* Random graphs: edges only from higher to lower ranks, so an order exists; then one back edge. */
static void random_graphs_are_ordered_and_one_back_edge_is_found(void **state)
{
    (void)state;
    static char names[COMPONENTS_MAX][8], needs[COMPONENTS_MAX][512];
    struct component components[COMPONENTS_MAX];
    u32 random = 1;
    for (u32 round = 0; round < 500; round++) {
        u32 count = 2 + round % (COMPONENTS_MAX - 1), edges = 0;
        static bool edge[COMPONENTS_MAX][COMPONENTS_MAX];
        memset(edge, 0, sizeof(edge));
        for (u32 i = 0; i < count; i++) {
            size_t used = 0;
            snprintf(names[i], sizeof(names[i]), "c%u", i);
            needs[i][0] = '\0';
            for (u32 j = i + 1; j < count; j++) {
                random = random * 1664525u + 1013904223u;
                if (random >> 29 == 0) {
                    used += (size_t)snprintf(needs[i] + used, sizeof(needs[i]) - used, "%sc%u",
                                             used ? " " : "", j);
                    edge[i][j] = true;
                    edges++;
                }
            }
            components[i] = (struct component){.name = names[i], .needs = needs[i]};
        }
        u8 order[COMPONENTS_MAX];
        assert_int_equal(order_of(components, count, order), count);
        for (u32 i = 0; i < count; i++) {
            for (u32 j = 0; j < count; j++) {
                if (edge[i][j]) {
                    assert_true(place_of(order, count, j) < place_of(order, count, i));
                }
            }
        }
        if (edges) {
            u32 from = 0;
            while (!needs[from][0]) {
                from++;
            }
            u32 to = (u32)strtoul(needs[from] + 1, NULL, 10);
            components[to].needs = names[from];
            assert_true(order_of(components, count, order) < count);
            assert_true(problems.count >= 1);
            assert_memory_equal(problems.lines[0], "cycle: ", 7);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_come_first),
        cmocka_unit_test(a_missing_need_is_named_and_its_dependents_left_out),
        cmocka_unit_test(a_cycle_is_named_and_the_rest_goes_on),
        cmocka_unit_test(a_star_comes_behind_all_others_even_flawed_ones),
        cmocka_unit_test(random_graphs_are_ordered_and_one_back_edge_is_found),
    };
    return cmocka_run_group_tests_name("orchestrator", tests, NULL, NULL);
}
