/* SPDX-License-Identifier: MIT */
/* The slot sched.policy: modules as policies of the fair layers.
 * Owns:      two tables that stand in for a module's, so that its code is only entered guarded.
 * Context:   the tables: as <core/sched_policy.h> says of each call; the rest thread.
 * A policy is called under a run queue's lock, which is its gate, and with interrupts masked; so a
 * fault in one is survived, an endless loop is not noticed. Whoever faults is replaced by the
 * scheduler's built-in policy on the spot: the kernel has the list of what is runnable.
 * Invariant: (1) two exchanges can overlap by one (policy.c, inv 1), so two tables are enough: the
 *            slot waits until the last exchange has settled before it begins another.
 */
#include <core/slot.h>
#include <dis/policy.h>
#include <helix/bits.h>

static struct slot_guest guests[SLOT_GUESTS];
static u32 last; /* the one that was given out last */
static const struct sched_policy_ops *own;

/* `otherwise` is what a dead policy answers. Out of line: a call into a module is not cheap. */
static HX_NOINLINE u64 enter(struct slot_guest *g, const void *fn, u64 a0, u64 a1, u64 a2, u64 a3,
                             u64 otherwise)
{
    bool dead = g->dead;
    u64 value = slot_enter(g, fn, a0, a1, a2, a3, otherwise);
    if (hx_unlikely(g->dead != dead)) {
        dis_policy_eject("its module was ended");
    }
    return value;
}

#define FN(op) ((const void *)(uintptr_t)((const struct sched_policy_ops *)s->table)->op)

/* The functions of table n. */
#define STAND_IN(n)                                                                                \
    static enum hx_status init_##n(struct sched_queue *q)                                          \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return (enum hx_status)(s32)enter(s, FN(init), (u64)q, 0, 0, 0, (u64)HX_ERR_FAULT);        \
    }                                                                                              \
    static void enqueue_##n(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)               \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        enter(s, FN(enqueue), (u64)q, (u64)ctx, flags, 0, 0);                                      \
    }                                                                                              \
    static void dequeue_##n(struct sched_queue *q, struct sched_ctx *ctx)                          \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        enter(s, FN(dequeue), (u64)q, (u64)ctx, 0, 0, 0);                                          \
    }                                                                                              \
    static u32 pick_##n(struct sched_queue *q)                                                     \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return (u32)enter(s, FN(pick), (u64)q, 0, 0, 0, SCHED_ID_NONE);                            \
    }                                                                                              \
    static u64 start_##n(struct sched_queue *q, struct sched_ctx *ctx)                             \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return enter(s, FN(start), (u64)q, (u64)ctx, 0, 0, SCHED_SLICE_MIN_NS);                    \
    }                                                                                              \
    static void charge_##n(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns)               \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        enter(s, FN(charge), (u64)q, (u64)ctx, ran_ns, 0, 0);                                      \
    }                                                                                              \
    static void put_##n(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns,                  \
                        enum sched_put how)                                                        \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        enter(s, FN(put), (u64)q, (u64)ctx, ran_ns, how, 0);                                       \
    }                                                                                              \
    static bool preempts_##n(struct sched_queue *q, struct sched_ctx *running,                     \
                             struct sched_ctx *woken)                                              \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return (u8)enter(s, FN(preempts), (u64)q, (u64)running, (u64)woken, 0, 0);                 \
    }                                                                                              \
    static u32 steal_##n(struct sched_queue *q, u32 to_cpu)                                        \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return (u32)enter(s, FN(steal), (u64)q, to_cpu, 0, 0, SCHED_ID_NONE);                      \
    }                                                                                              \
    static bool selfcheck_##n(struct sched_queue *q)                                               \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return (u8)enter(s, FN(selfcheck), (u64)q, 0, 0, 0, 1);                                    \
    }

#define TABLE(n)                                                                                   \
    {                                                                                              \
        .abi_version = SCHED_POLICY_ABI, .size = sizeof(struct sched_policy_ops),                  \
        .init = init_##n, .enqueue = enqueue_##n, .dequeue = dequeue_##n, .pick = pick_##n,        \
        .start = start_##n, .charge = charge_##n, .put = put_##n, .preempts = preempts_##n,        \
        .steal = steal_##n, .selfcheck = selfcheck_##n                                             \
    }

STAND_IN(0)
STAND_IN(1)

static struct sched_policy_ops tables[SLOT_GUESTS] = {TABLE(0), TABLE(1)};

static enum hx_status check(const void *table)
{
    const struct sched_policy_ops *ops = table;
    if (ops->abi_version != SCHED_POLICY_ABI || ops->size != sizeof(*ops)) {
        return HX_ERR_ABI;
    }
    return ops->init && ops->enqueue && ops->dequeue && ops->pick && ops->start && ops->charge &&
                   ops->put
               ? HX_OK
               : HX_ERR_INVALID;
}

static enum hx_status exchange(const void *table, struct module_instance *m, u64 deadline_ns,
                               u64 *out_pause)
{
    (void)deadline_ns;
    if (!own) {
        own = dis_policy_current();
    }
    const struct sched_policy_ops *ops = own;
    if (m) {
        u32 n = (last + 1) % SLOT_GUESTS; /* inv 1 */
        const struct sched_policy_ops *real = table;
        guests[n] = (struct slot_guest){.table = real, .m = m};
        tables[n].name = m->manifest.name;
        /* What a policy may leave out, the scheduler does by itself if it is told so. */
        tables[n].preempts = real->preempts ? (n ? preempts_1 : preempts_0) : NULL;
        tables[n].steal = real->steal ? (n ? steal_1 : steal_0) : NULL;
        tables[n].selfcheck = real->selfcheck ? (n ? selfcheck_1 : selfcheck_0) : NULL;
        last = n;
        ops = &tables[n];
    }
    u64 begin = hal_cycles_read();
    enum hx_status status = dis_policy_set(ops);
    *out_pause = hal_cycles_read() - begin;
    return status;
}

static bool settled(void)
{
    dis_policy_settle();
    return !dis_policy_busy();
}

static const char *serving(void)
{
    return dis_policy_current()->name;
}

static const struct slot_ops policy_slot_ops = {
    .check = check, .exchange = exchange, .settled = settled, .serving = serving};

SLOT(sched_policy, .name = "sched.policy", .major = SCHED_POLICY_ABI, .ops = &policy_slot_ops);
