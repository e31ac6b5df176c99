/* SPDX-License-Identifier: MIT */
/* Handle tables: stale tags, types, rights, limits, references.
 */
#include <core/handle.h>
#include <core/memory.h>
#include <ktest.h>
#include <memory/heap.h>

static struct {
    struct handle_table table;
    struct object objects[2];
    u32 destroyed;
} test;

static void destroyed(struct object *object)
{
    (void)object;
    test.destroyed++;
}

static void reset(void)
{
    memset(&test, 0, sizeof(test));
    handle_table_init(&test.table, NULL);
    object_init(&test.objects[0], HX_OBJECT_PROCESS, destroyed);
    object_init(&test.objects[1], HX_OBJECT_THREAD, destroyed);
}

KTEST(handle, a_handle_gives_its_object_and_nothing_else_does)
{
    hx_handle_t a, b;
    struct object *object = NULL;
    reset();
    KTEST_STATUS(handle_add(&test.table, &test.objects[0], HX_RIGHT_READ | HX_RIGHT_WAIT, &a),
                 HX_OK);
    KTEST_STATUS(handle_add(&test.table, &test.objects[1], HX_RIGHTS_ALL, &b), HX_OK);
    KTEST_ASSERT(a != b && a != HX_HANDLE_NONE && b != HX_HANDLE_NONE);
    KTEST_STATUS(handle_get(&test.table, a, HX_OBJECT_PROCESS, HX_RIGHT_WAIT, &object), HX_OK);
    KTEST_ASSERT(object == &test.objects[0] && object->references == 2);
    object_put(object);
    object = NULL;
    KTEST_STATUS(handle_get(&test.table, a, HX_OBJECT_THREAD, 0, &object), HX_ERR_BAD_HANDLE);
    KTEST_STATUS(
        handle_get(&test.table, a, HX_OBJECT_PROCESS, HX_RIGHT_WAIT | HX_RIGHT_DELETE, &object),
        HX_ERR_ACCESS);
    const hx_handle_t nonsense[] = {0, 1, a + 1, a ^ 1u << 9, 0xffffffff, a | 1u << 31, b << 10};
    for (u32 i = 0; i < HX_ARRAY_SIZE(nonsense); i++) {
        if (nonsense[i] != a && nonsense[i] != b) {
            KTEST_STATUS(handle_get(&test.table, nonsense[i], HX_OBJECT_PROCESS, 0, &object),
                         HX_ERR_BAD_HANDLE);
            KTEST_STATUS(handle_close(&test.table, nonsense[i]), HX_ERR_BAD_HANDLE);
        }
    }
    KTEST_ASSERT(object == NULL);
    handle_table_fini(&test.table);
    KTEST_EQUAL(test.destroyed, 2);
}

KTEST(handle, a_stale_handle_is_refused)
{
    hx_handle_t first, handle;
    struct object *object;
    reset();
    object_get(&test.objects[0]); /* the test's own */
    KTEST_STATUS(handle_add(&test.table, &test.objects[0], HX_RIGHTS_ALL, &first), HX_OK);
    KTEST_STATUS(handle_close(&test.table, first), HX_OK);
    KTEST_STATUS(handle_close(&test.table, first), HX_ERR_BAD_HANDLE);
    for (u32 i = 0; i < 1000; i++) {
        object_get(&test.objects[0]);
        KTEST_STATUS(handle_add(&test.table, &test.objects[0], HX_RIGHTS_ALL, &handle), HX_OK);
        KTEST_ASSERT(handle != first);
        KTEST_STATUS(handle_get(&test.table, first, HX_OBJECT_PROCESS, 0, &object),
                     HX_ERR_BAD_HANDLE);
        KTEST_STATUS(handle_close(&test.table, handle), HX_OK);
    }
    KTEST_EQUAL(test.objects[0].references, 1);
    handle_table_fini(&test.table);
    KTEST_EQUAL(test.destroyed, 0);
}

KTEST(handle, a_table_has_a_limit_and_frees_all_it_holds)
{
    hx_handle_t handle = 0, last = 0;
    reset();
    for (u32 i = 0; i < HANDLE_TABLE_MAX; i++) {
        object_get(&test.objects[0]);
        KTEST_STATUS(handle_add(&test.table, &test.objects[0], HX_RIGHTS_ALL, &handle), HX_OK);
        last = handle;
    }
    KTEST_STATUS(handle_add(&test.table, &test.objects[0], HX_RIGHTS_ALL, &handle), HX_ERR_LIMIT);
    KTEST_EQUAL(handle, last);
    KTEST_EQUAL(test.objects[0].references, HANDLE_TABLE_MAX + 1);
    KTEST_STATUS(handle_close(&test.table, last), HX_OK);
    KTEST_STATUS(handle_add(&test.table, &test.objects[0], HX_RIGHTS_ALL, &handle), HX_OK);
    KTEST_ASSERT(handle != last);
    handle_table_fini(&test.table);
    KTEST_EQUAL(test.destroyed, 1);
}

KTEST(handle, a_table_that_cannot_grow_says_so)
{
    hx_handle_t handle = 77;
    reset();
    heap_fail_after(1);
    enum hx_status status = handle_add(&test.table, &test.objects[0], HX_RIGHTS_ALL, &handle);
    heap_fail_after(0);
    KTEST_STATUS(status, HX_ERR_NO_MEMORY);
    KTEST_EQUAL(handle, 77);
    KTEST_EQUAL(test.objects[0].references, 1);
    KTEST_STATUS(handle_add(&test.table, &test.objects[0], HX_RIGHTS_ALL, &handle), HX_OK);
    handle_table_fini(&test.table);
    KTEST_EQUAL(test.destroyed, 1);
}
