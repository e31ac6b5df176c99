/* SPDX-License-Identifier: MIT */
/* Capabilities: attenuation, derivation, revocation, expiry, claims, moving between tables, quotas.
 */
#include <core/handle.h>
#include <core/memory.h>
#include <core/task.h>
#include <hal/cpu.h>
#include <ktest.h>
#include <memory/heap.h>

#define ALL HX_RIGHTS_ALL

static struct {
    struct handle_table table, other;
    struct object object;
    u32 destroyed;
} test;

static void destroyed(struct object *object)
{
    (void)object;
    test.destroyed++;
}

static void reset(hx_handle_t *out_handle)
{
    memset(&test, 0, sizeof(test));
    handle_table_init(&test.table, NULL);
    handle_table_init(&test.other, NULL);
    object_init(&test.object, HX_OBJECT_PROCESS, destroyed);
    KTEST_STATUS(handle_add(&test.table, &test.object, ALL, out_handle), HX_OK);
}

static void finish(void)
{
    handle_table_fini(&test.other);
    handle_table_fini(&test.table);
    KTEST_EQUAL(test.destroyed, 1);
}

/* What the fast path says, and then what it says when it has been asked before. */
static enum hx_status check(struct handle_table *table, hx_handle_t handle, u32 rights)
{
    struct object *object = NULL;
    u64 irqs = hal_irq_save();
    enum hx_status first = cap_check(table, handle, HX_OBJECT_PROCESS, rights, &object);
    enum hx_status again = cap_check(table, handle, HX_OBJECT_PROCESS, rights, &object);
    hal_irq_restore(irqs);
    return first != again || (first == HX_OK) != (object == &test.object) ? HX_ERR_CORRUPT : first;
}

static enum hx_status derive(hx_handle_t from, u32 rights, hx_handle_t *out_handle)
{
    return handle_derive(&test.table, from, rights, HX_DEADLINE_NEVER, false, out_handle);
}

KTEST(capability, rights_only_shrink)
{
    hx_handle_t root, less, none = 0;
    KTEST_CALL(reset(&root));
    KTEST_STATUS(derive(root, HX_RIGHT_READ | HX_RIGHT_DELEGATE, &less), HX_OK);
    KTEST_STATUS(check(&test.table, less, HX_RIGHT_READ), HX_OK);
    KTEST_STATUS(check(&test.table, less, HX_RIGHT_WRITE), HX_ERR_ACCESS);
    KTEST_STATUS(derive(less, HX_RIGHT_WRITE, &none), HX_ERR_ACCESS);
    KTEST_STATUS(handle_duplicate(&test.table, less, HX_RIGHT_READ | HX_RIGHT_WRITE, &none),
                 HX_ERR_ACCESS);
    KTEST_STATUS(derive(root, 1u << 31, &none), HX_ERR_INVALID);
    KTEST_STATUS(handle_duplicate(&test.table, root, ALL + 1, &none), HX_ERR_INVALID);
    KTEST_STATUS(handle_duplicate(&test.table, less, HX_RIGHT_READ, &less), HX_OK);
    KTEST_STATUS(derive(less, HX_RIGHT_READ, &none), HX_ERR_ACCESS); /* DELEGATE is gone */
    KTEST_STATUS(handle_revoke(&test.table, less), HX_ERR_ACCESS);
    KTEST_EQUAL(none, 0);
    KTEST_CALL(finish());
}

KTEST(capability, revoking_ends_what_was_derived_and_nothing_else)
{
    hx_handle_t root, sibling, mid, leaf, later;
    KTEST_CALL(reset(&root));
    KTEST_STATUS(derive(root, ALL, &sibling), HX_OK);
    KTEST_STATUS(derive(root, ALL, &mid), HX_OK);
    KTEST_STATUS(derive(mid, ALL, &leaf), HX_OK);
    KTEST_STATUS(check(&test.table, leaf, ALL), HX_OK);
    KTEST_STATUS(handle_revoke(&test.table, mid), HX_OK);
    KTEST_STATUS(check(&test.table, leaf, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, mid, ALL), HX_OK);
    KTEST_STATUS(check(&test.table, sibling, ALL), HX_OK);
    KTEST_STATUS(derive(mid, ALL, &later), HX_OK);
    KTEST_STATUS(check(&test.table, later, ALL), HX_OK);
    KTEST_STATUS(check(&test.table, leaf, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(derive(leaf, ALL, &leaf), HX_ERR_REVOKED);
    KTEST_STATUS(handle_duplicate(&test.table, leaf, ALL, &leaf), HX_ERR_REVOKED);
    KTEST_STATUS(handle_revoke(&test.table, root), HX_OK);
    KTEST_STATUS(check(&test.table, sibling, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, mid, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, later, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, root, ALL), HX_OK);
    KTEST_CALL(finish());
}

KTEST(capability, a_duplicate_dies_of_what_its_source_dies_of)
{
    hx_handle_t root, child, copy;
    KTEST_CALL(reset(&root));
    KTEST_STATUS(derive(root, ALL, &child), HX_OK);
    KTEST_STATUS(handle_duplicate(&test.table, child, ALL, &copy), HX_OK);
    KTEST_STATUS(handle_close(&test.table, child), HX_OK);
    KTEST_STATUS(check(&test.table, copy, ALL), HX_OK);
    KTEST_STATUS(handle_revoke(&test.table, root), HX_OK);
    KTEST_STATUS(check(&test.table, copy, ALL), HX_ERR_REVOKED);
    KTEST_CALL(finish());
}

KTEST(capability, a_closed_link_of_the_chain_still_counts)
{
    hx_handle_t root, mid, leaf;
    KTEST_CALL(reset(&root));
    KTEST_STATUS(derive(root, ALL, &mid), HX_OK);
    KTEST_STATUS(derive(mid, ALL, &leaf), HX_OK);
    KTEST_STATUS(handle_close(&test.table, mid), HX_OK);
    KTEST_STATUS(check(&test.table, leaf, ALL), HX_OK);
    KTEST_STATUS(handle_revoke(&test.table, root), HX_OK);
    KTEST_STATUS(check(&test.table, leaf, ALL), HX_ERR_REVOKED);
    KTEST_CALL(finish());
}

KTEST(capability, a_chain_has_a_greatest_depth)
{
    hx_handle_t root, handle;
    struct hx_handle_info info;
    KTEST_CALL(reset(&root));
    handle = root;
    for (u32 depth = 1; depth <= CAP_DEPTH_MAX; depth++) {
        KTEST_STATUS(derive(handle, ALL, &handle), HX_OK);
        KTEST_STATUS(handle_info(&test.table, handle, &info), HX_OK);
        KTEST_EQUAL(info.depth, depth);
    }
    KTEST_STATUS(derive(handle, ALL, &handle), HX_ERR_LOOP);
    KTEST_STATUS(handle_duplicate(&test.table, handle, ALL, &handle), HX_OK);
    KTEST_STATUS(handle_revoke(&test.table, root), HX_OK);
    KTEST_STATUS(check(&test.table, handle, ALL), HX_ERR_REVOKED);
    KTEST_CALL(finish());
}

KTEST(capability, it_expires_and_so_does_what_is_derived)
{
    hx_handle_t root, brief, child;
    struct hx_handle_info info;
    KTEST_CALL(reset(&root));
    u64 end = time_now_ns() + 5 * HX_NS_PER_MS;
    KTEST_STATUS(handle_derive(&test.table, root, ALL, end, false, &brief), HX_OK);
    KTEST_STATUS(handle_derive(&test.table, brief, ALL, HX_DEADLINE_NEVER, false, &child), HX_OK);
    KTEST_STATUS(handle_info(&test.table, child, &info), HX_OK);
    KTEST_EQUAL(info.expires_ns, end);
    enum hx_status early = check(&test.table, child, ALL);
    KTEST_ASSERT(early == HX_OK || time_now_ns() >= end);
    KTEST_STATUS(task_sleep_until(end), HX_OK);
    KTEST_STATUS(check(&test.table, brief, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, child, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(handle_derive(&test.table, root, ALL, end, false, &brief), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, root, ALL), HX_OK);
    KTEST_CALL(finish());
}

KTEST(capability, a_claim_shuts_the_others_out_until_it_goes)
{
    hx_handle_t root, claimed, child, weak, none = 0;
    KTEST_CALL(reset(&root));
    KTEST_STATUS(check(&test.table, root, ALL), HX_OK);
    KTEST_STATUS(derive(root, ALL & ~HX_RIGHT_EXCLUSIVE, &weak), HX_OK);
    KTEST_STATUS(handle_derive(&test.table, weak, 0, HX_DEADLINE_NEVER, true, &none),
                 HX_ERR_ACCESS);
    KTEST_STATUS(handle_derive(&test.table, root, ALL, HX_DEADLINE_NEVER, true, &claimed), HX_OK);
    KTEST_STATUS(check(&test.table, claimed, ALL), HX_OK);
    KTEST_STATUS(check(&test.table, root, ALL), HX_ERR_BUSY);
    KTEST_STATUS(handle_derive(&test.table, root, ALL, HX_DEADLINE_NEVER, true, &none),
                 HX_ERR_BUSY);
    KTEST_STATUS(derive(claimed, ALL, &child), HX_OK);
    KTEST_STATUS(check(&test.table, child, ALL), HX_OK);
    KTEST_STATUS(handle_close(&test.table, claimed), HX_OK);
    KTEST_STATUS(check(&test.table, root, ALL), HX_OK);
    KTEST_STATUS(check(&test.table, child, ALL), HX_OK);
    /* The second claim is broken by revoking it. */
    KTEST_STATUS(handle_derive(&test.table, root, ALL, HX_DEADLINE_NEVER, true, &claimed), HX_OK);
    KTEST_STATUS(check(&test.table, root, ALL), HX_ERR_BUSY);
    KTEST_STATUS(check(&test.table, child, ALL), HX_ERR_BUSY);
    KTEST_STATUS(handle_revoke(&test.table, root), HX_OK);
    KTEST_STATUS(check(&test.table, claimed, ALL), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, root, ALL), HX_OK);
    KTEST_STATUS(handle_derive(&test.table, root, ALL, HX_DEADLINE_NEVER, true, &none), HX_OK);
    KTEST_EQUAL(none != 0, 1);
    KTEST_CALL(finish());
}

KTEST(capability, moving_is_all_or_nothing)
{
    hx_handle_t root, a, stays, moved[2];
    struct cap *caps[3];
    KTEST_CALL(reset(&root));
    KTEST_STATUS(derive(root, HX_RIGHT_READ | HX_RIGHT_TRANSFER, &a), HX_OK);
    KTEST_STATUS(derive(root, HX_RIGHT_READ, &stays), HX_OK);
    const hx_handle_t bad[] = {root, a, stays}, twice[] = {root, a, root};
    const hx_handle_t wrong[] = {root, 0}, good[] = {root, a};
    KTEST_STATUS(handle_take_many(&test.table, bad, 3, caps), HX_ERR_ACCESS);
    KTEST_STATUS(handle_take_many(&test.table, twice, 3, caps), HX_ERR_INVALID);
    KTEST_STATUS(handle_take_many(&test.table, wrong, 2, caps), HX_ERR_BAD_HANDLE);
    KTEST_STATUS(check(&test.table, root, ALL), HX_OK);
    KTEST_STATUS(check(&test.table, a, HX_RIGHT_READ), HX_OK);
    KTEST_STATUS(handle_take_many(&test.table, good, 2, caps), HX_OK);
    KTEST_STATUS(check(&test.table, root, 0), HX_ERR_BAD_HANDLE);
    KTEST_EQUAL(test.destroyed, 0);
    KTEST_STATUS(handle_give_many(&test.other, caps, 2, moved), HX_OK);
    KTEST_STATUS(check(&test.other, moved[0], ALL), HX_OK);
    KTEST_STATUS(check(&test.other, moved[1], HX_RIGHT_READ), HX_OK);
    KTEST_STATUS(handle_revoke(&test.other, moved[0]), HX_OK);
    KTEST_STATUS(check(&test.other, moved[1], HX_RIGHT_READ), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, stays, HX_RIGHT_READ), HX_ERR_REVOKED);
    KTEST_STATUS(handle_take_many(&test.other, moved + 1, 1, caps), HX_ERR_REVOKED);
    KTEST_CALL(finish());
}

KTEST(capability, a_table_that_is_gone_takes_nothing)
{
    hx_handle_t root, handle = 0;
    struct cap *cap;
    KTEST_CALL(reset(&root));
    handle_table_fini(&test.other);
    KTEST_STATUS(handle_take_many(&test.table, &root, 1, &cap), HX_OK);
    KTEST_STATUS(handle_give_many(&test.other, &cap, 1, &handle), HX_ERR_CLOSED);
    KTEST_STATUS(handle_give_many(&test.table, &cap, 1, &handle), HX_OK);
    KTEST_CALL(finish());
}

KTEST(capability, who_supervises_ends_a_handle_and_all_below_it)
{
    hx_handle_t root, child, leaf;
    KTEST_CALL(reset(&root));
    KTEST_STATUS(derive(root, HX_RIGHT_READ | HX_RIGHT_DELEGATE, &child), HX_OK);
    KTEST_STATUS(derive(child, HX_RIGHT_READ, &leaf), HX_OK);
    KTEST_STATUS(handle_end(&test.table, child), HX_OK);
    KTEST_STATUS(check(&test.table, child, HX_RIGHT_READ), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, leaf, HX_RIGHT_READ), HX_ERR_REVOKED);
    KTEST_STATUS(check(&test.table, root, ALL), HX_OK);
    KTEST_CALL(finish());
}

KTEST(capability, quotas_nest_and_refuse_with_their_own_status)
{
    struct quota *outer, *inner;
    struct handle_table table;
    hx_handle_t handles[4], none = 0;
    struct object object;
    test.destroyed = 0;
    object_init(&object, HX_OBJECT_PROCESS, destroyed);
    KTEST_STATUS(quota_create(&quota_root, &outer), HX_OK);
    KTEST_STATUS(quota_create(outer, &inner), HX_OK);
    quota_limit_set(outer, HX_QUOTA_HANDLES, 4);
    quota_limit_set(inner, HX_QUOTA_HANDLES, 3);
    handle_table_init(&table, inner);
    for (u32 i = 0; i < 3; i++) {
        object_get(&object);
        KTEST_STATUS(handle_add(&table, &object, ALL, &handles[i]), HX_OK);
    }
    KTEST_STATUS(handle_add(&table, &object, ALL, &none), HX_ERR_LIMIT);
    quota_limit_set(inner, HX_QUOTA_HANDLES, 100);
    object_get(&object);
    KTEST_STATUS(handle_add(&table, &object, ALL, &handles[3]), HX_OK);
    KTEST_STATUS(handle_add(&table, &object, ALL, &none), HX_ERR_LIMIT); /* the outer one */
    KTEST_STATUS(handle_duplicate(&table, handles[0], ALL, &none), HX_ERR_LIMIT);
    KTEST_EQUAL(outer->counts[HX_QUOTA_HANDLES].used, 4);
    KTEST_EQUAL(inner->counts[HX_QUOTA_HANDLES].used, 4);
    KTEST_STATUS(quota_charge(inner, HX_QUOTA_MEMORY, UINT64_MAX), HX_ERR_LIMIT);
    KTEST_EQUAL(inner->counts[HX_QUOTA_MEMORY].used, 0);
    handle_table_fini(&table);
    KTEST_EQUAL(outer->counts[HX_QUOTA_HANDLES].used, 0);
    KTEST_EQUAL(outer->counts[HX_QUOTA_HANDLES].peak, 4);
    KTEST_EQUAL(none, 0);
    quota_put(inner);
    quota_put(outer);
    object_put(&object);
    KTEST_EQUAL(test.destroyed, 1);
}

KTEST(capability, no_memory_is_a_status_and_leaves_nothing)
{
    hx_handle_t root, none = 0;
    KTEST_CALL(reset(&root));
    for (u32 i = 0; i < 15; i++) { /* so that the next one makes the table grow */
        hx_handle_t handle;
        KTEST_STATUS(handle_duplicate(&test.table, root, ALL, &handle), HX_OK);
    }
    for (u32 n = 1; n <= 2; n++) {
        heap_fail_after(n);
        enum hx_status status = derive(root, ALL, &none);
        heap_fail_after(0);
        KTEST_STATUS(status, HX_ERR_NO_MEMORY);
        KTEST_EQUAL(none, 0);
        KTEST_EQUAL(test.object.references, 16);
    }
    KTEST_STATUS(derive(root, ALL, &none), HX_OK);
    KTEST_CALL(finish());
}
