/* SPDX-License-Identifier: MIT */
/* Benchmarks of capabilities: a check as system calls make it, and revoking what one other or a
 * million others were derived from.
 * Context: the shell's thread, one CPU.
 */
#include <core/bench.h>
#include <core/grace.h>
#include <core/handle.h>
#include <core/memory.h>
#include <core/task.h>

#define MILLION 1000000u
#define EACH    (HANDLE_TABLE_MAX - 1) /* beside the handle that they come from */
#define TABLES  ((MILLION + EACH - 1) / EACH)

static void destroyed(struct object *object)
{
    object_free(object);
}

/* A table with a handle to a new object. */
static enum hx_status begin(struct handle_table *table, hx_handle_t *out_handle)
{
    struct object *object = kmalloc(sizeof(*object));
    if (!object) {
        return HX_ERR_NO_MEMORY;
    }
    object_init(object, HX_OBJECT_PROCESS, destroyed);
    handle_table_init(table, NULL);
    enum hx_status status = handle_add(table, object, HX_RIGHTS_ALL, out_handle);
    if (status != HX_OK) {
        object_put(object);
    }
    return status;
}

/* The whole section: interrupts off, the caller's table, the check, interrupts on. */
static enum hx_status check(struct bench_samples *s)
{
    struct handle_table table;
    struct object *object = NULL;
    hx_handle_t handle;
    enum hx_status status = begin(&table, &handle);
    if (status != HX_OK) {
        return status;
    }
    struct handle_table *before = task_current()->handles;
    task_current()->handles = &table;
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        u64 start = hal_cycles_read();
        hal_irq_disable();
        status = cap_check(task_current()->handles, HX_READ_ONCE(handle), HX_OBJECT_PROCESS,
                           HX_RIGHT_WAIT, &object);
        hal_irq_enable();
        bench_add(s, start, hal_cycles_read(), 1);
    }
    task_current()->handles = before;
    handle_table_fini(&table);
    return status;
}

static enum hx_status revoke_1(struct bench_samples *s)
{
    struct handle_table table;
    hx_handle_t handle, derived;
    enum hx_status status = begin(&table, &handle);
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        status = handle_derive(&table, handle, HX_RIGHTS_ALL, HX_DEADLINE_NEVER, false, &derived);
        if (status != HX_OK) {
            break;
        }
        u64 start = hal_cycles_read();
        status = handle_revoke(&table, handle);
        bench_add(s, start, hal_cycles_read(), 1);
        HX_IGNORE(handle_close(&table, derived), "it was made above");
    }
    handle_table_fini(&table);
    return status;
}

/* Fills other tables with what is derived from `handle`; the handle goes from table to table. */
static enum hx_status derive_million(struct handle_table *tables, hx_handle_t *handle)
{
    hx_handle_t derived;
    struct cap *cap;
    enum hx_status status = HX_OK;
    for (u32 i = 0; status == HX_OK && i < MILLION; i++) {
        u32 at = i / EACH;
        if (i && i % EACH == 0) {
            status = handle_take_many(&tables[at - 1], handle, 1, &cap);
            if (status == HX_OK) {
                status = handle_give_many(&tables[at], &cap, 1, handle);
            }
        }
        if (status == HX_OK) {
            status = handle_derive(&tables[at], *handle, HX_RIGHTS_ALL, HX_DEADLINE_NEVER, false,
                                   &derived);
        }
    }
    return status;
}

/* One revocation ends them all, so there is one sample of that kind; the others revoke the same
 * handle again, with a million dead ones below it, which costs the same work. */
static enum hx_status revoke_million(struct bench_samples *s)
{
    hx_handle_t handle;
    struct handle_table *tables = kmalloc((TABLES + 1) * sizeof(*tables));
    if (!tables) {
        return HX_ERR_NO_MEMORY;
    }
    for (u32 i = 1; i <= TABLES; i++) {
        handle_table_init(&tables[i], NULL);
    }
    enum hx_status status = begin(&tables[0], &handle);
    if (status == HX_OK) {
        status = derive_million(tables, &handle);
    }
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        u64 start = hal_cycles_read();
        status = handle_revoke(&tables[TABLES - 1], handle);
        bench_add(s, start, hal_cycles_read(), 1);
    }
    for (u32 i = 0; i <= TABLES; i++) {
        handle_table_fini(&tables[i]);
    }
    kfree(tables);
    grace_wait(); /* a million of them are freed here, and not while the next is measured */
    return status;
}

BENCHMARK(cap_check, "cap.check", 1000, check);
BENCHMARK(cap_revoke_1, "cap.revoke_1", 1000, revoke_1);
BENCHMARK(cap_revoke_million, "cap.revoke_1000000", 100, revoke_million);
