/* SPDX-License-Identifier: MIT */
/* Quotas.
 * Owns:      struct quota; the tree of them.     Callers: whoever creates what programs ask for.
 * Context:   charging: any but NMI; creating: thread.
 * Locks:     quotas.lock around the list that is shown; counts are atomic.
 * Invariant: (1) a charge is in every quota from the one it was made to up to the root, or in none.
 *            (2) used <= limit holds for each charge that was granted, at the moment it was:
 * threads that charge at once add first and take back what was too much, so one may be refused that
 * would have fitted after the other's refusal, never the other way round. (3) a quota that goes has
 * nothing charged: what is charged keeps a reference.
 */
#include <core/memory.h>
#include <core/quota.h>
#include <core/spinlock.h>
#include <helix/bits.h>
#include <helix/panic.h>

#define NO_LIMIT UINT64_MAX

/* Of a tree of processes, unless it says otherwise. */
static const u64 defaults[HX_QUOTA_COUNT] = {
    [HX_QUOTA_HANDLES] = 65536,      [HX_QUOTA_PROCESSES] = 1024, [HX_QUOTA_THREADS] = 4096,
    [HX_QUOTA_MEMORY] = HX_MIB(128), [HX_QUOTA_CHANNELS] = 4096,  [HX_QUOTA_TIMERS] = 4096,
};

static const char *const names[HX_QUOTA_COUNT] = {
    [HX_QUOTA_HANDLES] = "handles",   [HX_QUOTA_PROCESSES] = "processes",
    [HX_QUOTA_THREADS] = "threads",   [HX_QUOTA_MEMORY] = "kernel-memory",
    [HX_QUOTA_CHANNELS] = "channels", [HX_QUOTA_TIMERS] = "timers",
};

struct quota quota_root = {
    .references = 1,
    .counts = {[0 ... HX_QUOTA_COUNT - 1] = {.limit = NO_LIMIT}},
};

static struct {
    struct spinlock lock;
    struct list_node all; /* l: but the root */
    u64 next_id;          /* l */
} quotas = {.lock = SPINLOCK_INIT("quotas", LOCK_RANK_QUOTA), .all = LIST_INIT(quotas.all)};

const char *quota_name(enum hx_quota kind)
{
    return kind < HX_QUOTA_COUNT ? names[kind] : "?";
}

enum hx_status quota_create(struct quota *parent, struct quota **out_quota)
{
    if (parent->depth == QUOTA_DEPTH_MAX) {
        return HX_ERR_LIMIT;
    }
    struct quota *quota = kzalloc(sizeof(*quota));
    if (!quota) {
        return HX_ERR_NO_MEMORY;
    }
    quota->references = 1;
    quota->depth = parent->depth + 1;
    quota->parent = quota_get(parent);
    for (u32 kind = 0; kind < HX_QUOTA_COUNT; kind++) {
        quota->counts[kind].limit = defaults[kind];
    }
    u64 irqs = spin_lock_irq(&quotas.lock);
    quota->id = ++quotas.next_id;
    list_add_tail(&quotas.all, &quota->all);
    spin_unlock_irq(&quotas.lock, irqs);
    *out_quota = quota;
    return HX_OK;
}

struct quota *quota_get(struct quota *quota)
{
    if (quota) {
        __atomic_fetch_add(&quota->references, 1, __ATOMIC_RELAXED);
    }
    return quota;
}

void quota_put(struct quota *quota)
{
    while (quota && __atomic_sub_fetch(&quota->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct quota *parent = quota->parent;
        HX_ASSERT(parent); /* the root has a reference that nobody puts */
        for (u32 kind = 0; kind < HX_QUOTA_COUNT; kind++) {
            HX_DEBUG_ASSERT(quota->counts[kind].used == 0); /* inv 3 */
        }
        u64 irqs = spin_lock_irq(&quotas.lock);
        list_remove(&quota->all);
        spin_unlock_irq(&quotas.lock, irqs);
        kfree(quota);
        quota = parent;
    }
}

/* Takes back from `quota` and all around it, up to but without `end`. */
static void take_back(struct quota *quota, const struct quota *end, enum hx_quota kind, u64 amount)
{
    for (; quota != end; quota = quota->parent) {
        __atomic_fetch_sub(&quota->counts[kind].used, amount, __ATOMIC_RELAXED);
    }
}

enum hx_status quota_charge(struct quota *quota, enum hx_quota kind, u64 amount)
{
    for (struct quota *q = quota; q; q = q->parent) {
        struct quota_count *count = &q->counts[kind];
        u64 used = __atomic_add_fetch(&count->used, amount, __ATOMIC_RELAXED);
        if (hx_unlikely(used > HX_READ_ONCE(count->limit) || used < amount)) {
            take_back(quota, q->parent, kind, amount); /* inv 1 */
            return HX_ERR_LIMIT;
        }
        if (used > HX_READ_ONCE(count->peak)) {
            HX_WRITE_ONCE(count->peak, used);
        }
    }
    return HX_OK;
}

void quota_uncharge(struct quota *quota, enum hx_quota kind, u64 amount)
{
    take_back(quota, NULL, kind, amount);
}

enum hx_status quota_limit_lower(struct quota *quota, enum hx_quota kind, u64 limit)
{
    u64 now = __atomic_load_n(&quota->counts[kind].limit, __ATOMIC_RELAXED);
    do {
        if (limit > now) {
            return HX_ERR_ACCESS;
        }
    } while (!__atomic_compare_exchange_n(&quota->counts[kind].limit, &now, limit, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return HX_OK;
}

void quota_limit_set(struct quota *quota, enum hx_quota kind, u64 limit)
{
    HX_WRITE_ONCE(quota->counts[kind].limit, limit);
}

void quota_for_each(void (*visit)(struct quota *quota, void *ctx), void *ctx)
{
    visit(&quota_root, ctx);
    u64 irqs = spin_lock_irq(&quotas.lock);
    struct quota *quota;
    LIST_FOREACH (&quotas.all, quota, all) {
        visit(quota, ctx);
    }
    spin_unlock_irq(&quotas.lock, irqs);
}
