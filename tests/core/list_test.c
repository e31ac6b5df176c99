/* SPDX-License-Identifier: MIT */
/* <helix/list.h>: each operation, then a long random run against an array.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <helix/list.h>

#define ITEMS 24

struct item {
    int number;
    struct list_node node;
};

static struct item items[ITEMS];

static void prepare(struct list_node *head)
{
    list_init(head);
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        list_init(&items[i].node);
    }
}

/* The list holds exactly these numbers, forwards and backwards. */
static void expect(struct list_node *head, const int *numbers, int count)
{
    struct item *it;
    int i = 0;
    LIST_FOREACH (head, it, node) {
        assert_true(i < count);
        assert_int_equal(it->number, numbers[i]);
        i++;
    }
    assert_int_equal(i, count);
    for (struct list_node *node = head->prev; node != head; node = node->prev) {
        assert_int_equal(LIST_ENTRY(node, struct item, node)->number, numbers[--i]);
    }
    assert_int_equal(i, 0);
    assert_true(list_is_empty(head) == (count == 0));
    struct item *first = LIST_FIRST(head, struct item, node);
    assert_true(count ? first->number == numbers[0] : first == NULL);
}

static void adds_at_both_ends_and_removes(void **unused)
{
    (void)unused;
    struct list_node head = LIST_INIT(head);
    prepare(&head);
    expect(&head, NULL, 0);
    list_add_tail(&head, &items[1].node);
    list_add_tail(&head, &items[2].node);
    list_add_head(&head, &items[0].node);
    expect(&head, (int[]){0, 1, 2}, 3);
    assert_true(list_node_is_linked(&items[1].node));
    list_remove(&items[1].node);
    assert_false(list_node_is_linked(&items[1].node));
    expect(&head, (int[]){0, 2}, 2);
    list_remove(&items[1].node); /* twice is harmless */
    expect(&head, (int[]){0, 2}, 2);
    list_insert_between(&items[3].node, &items[0].node, &items[2].node);
    expect(&head, (int[]){0, 3, 2}, 3);
    list_remove(&items[0].node);
    list_remove(&items[2].node);
    list_remove(&items[3].node);
    expect(&head, NULL, 0);
}

static void splices_all_to_the_tail(void **unused)
{
    (void)unused;
    struct list_node head, other = LIST_INIT(other);
    prepare(&head);
    list_splice_tail(&head, &other);
    expect(&head, NULL, 0);
    list_add_tail(&other, &items[0].node);
    list_add_tail(&other, &items[1].node);
    list_splice_tail(&head, &other);
    expect(&head, (int[]){0, 1}, 2);
    expect(&other, NULL, 0);
    list_add_tail(&other, &items[2].node);
    list_splice_tail(&head, &other);
    expect(&head, (int[]){0, 1, 2}, 3);
    list_splice_tail(&head, &other);
    expect(&head, (int[]){0, 1, 2}, 3);
}

static void safe_walk_allows_removal(void **unused)
{
    (void)unused;
    struct list_node head;
    struct item *it, *tmp;
    prepare(&head);
    for (int i = 0; i < ITEMS; i++) {
        list_add_tail(&head, &items[i].node);
    }
    LIST_FOREACH_SAFE (&head, it, tmp, node) {
        if (it->number % 3) {
            list_remove(&it->node);
        }
    }
    expect(&head, (int[]){0, 3, 6, 9, 12, 15, 18, 21}, 8);
    LIST_FOREACH_SAFE (&head, it, tmp, node) {
        list_remove(&it->node);
    }
    expect(&head, NULL, 0);
}

static void random_run_agrees_with_an_array(void **unused)
{
    (void)unused;
    struct list_node head;
    int model[ITEMS], count = 0;
    u64 random = 88172645463325252ull;
    prepare(&head);
    for (int step = 0; step < 20000; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        int i = (int)(random >> 20) % ITEMS;
        i = i < 0 ? -i : i;
        if (list_node_is_linked(&items[i].node)) {
            list_remove(&items[i].node);
            int at = 0;
            while (model[at] != i) {
                at++;
            }
            for (count--; at < count; at++) {
                model[at] = model[at + 1];
            }
        } else if (random & 1) {
            list_add_tail(&head, &items[i].node);
            model[count++] = i;
        } else {
            list_add_head(&head, &items[i].node);
            for (int at = count++; at > 0; at--) {
                model[at] = model[at - 1];
            }
            model[0] = i;
        }
        expect(&head, model, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_at_both_ends_and_removes),
        cmocka_unit_test(splices_all_to_the_tail),
        cmocka_unit_test(safe_walk_allows_removal),
        cmocka_unit_test(random_run_agrees_with_an_array),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
