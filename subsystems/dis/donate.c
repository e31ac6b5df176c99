/* SPDX-License-Identifier: MIT */
/* The donation graph: who waits for whom, and who therefore runs on whose context.
 * Owns:      struct dis_runner; ctx->runner.   Lock: donate.lock, taken before run queue locks.
 * Context:   thread, or interrupt for wake-ups.
 * Idea:      contexts stay where they are and keep competing; only the answer to "who runs on it"
 *            changes. A server reached through a chain therefore runs with the earliest deadline
 *            of its donors, because theirs are the contexts in the queue, and each pays for what
 *            is done for it. Nothing is boosted and nothing has to be undone.
 * Held:      a context whose last runner cannot run on it (it sleeps, or it belongs to another CPU)
 *            leaves the queues until that changes. A server that is bound to another CPU thus runs
 *            on its own context there.
 * Invariant: (1) lent_to edges form a forest: no cycles, depth at most DIS_DONATE_DEPTH_MAX.
 *            (2) ctx->runner is the root above ctx->home.
 *            (3) all contexts that a runner runs on and that are not held are on one CPU.
 */
#include "dis_priv.h"

static struct {
    struct dis_lock lock;
} donate;

void dis_donate_init(void)
{
    memset(&donate, 0, sizeof(donate));
    dis_port_lock_init(&donate.lock, DIS_RANK_DONATION);
}

static struct dis_runner *root_of(struct dis_runner *r)
{
    while (r->lent_to != NULL) {
        r = r->lent_to;
    }
    return r;
}

/* The run queue of what `runner` has for its own, locked. NULL: it has nothing. */
static struct dis_rq *own_lock(struct dis_runner *runner)
{
    for (;;) {
        struct sched_ctx *own = __atomic_load_n(&runner->own, __ATOMIC_ACQUIRE);
        if (own == NULL) {
            return NULL;
        }
        struct dis_rq *rq = dis_ctx_lock(own);
        if (hx_likely(HX_READ_ONCE(runner->own) == own)) {
            return rq;
        }
        dis_port_unlock(&rq->lock); /* a call took it along, or brought it back */
    }
}

static bool root_serves(struct dis_runner *root, const struct sched_ctx *ctx)
{
    if (!root->ready) {
        return false;
    }
    if (list_is_empty(&root->donors)) {
        return true; /* only its own, wherever that wakes up */
    }
    if (root->cpu == SCHED_ID_NONE) {
        root->cpu = ctx->cpu; /* it comes to whoever calls first */
    }
    return root->cpu == ctx->cpu;
}

/* Brings ctx in line with the graph. Its queue is rq, locked; it is not on return. */
static void ctx_refresh_locked(struct dis_rq *rq, struct sched_ctx *ctx, struct dis_runner *root,
                               u64 now)
{
    bool wake = false;
    if (rq->curr == ctx && ctx->runner != root) {
        dis_account(rq, now); /* up to here the old runner ran */
        dis_port_kick(rq->cpu);
    }
    ctx->runner = root;
    ctx->flags &= (u8)~DIS_CTX_LENT;
    ctx->flags |= root != ctx->home ? DIS_CTX_LENT : 0;
    if (root_serves(root, ctx)) {
        wake = (ctx->flags & DIS_CTX_HELD) != 0 || ctx->state == SCHED_CTX_BLOCKED;
        ctx->flags &= (u8)~DIS_CTX_HELD;
    } else if ((ctx->flags & DIS_CTX_HELD) == 0) {
        ctx->flags |= DIS_CTX_HELD;
        if (ctx->state == SCHED_CTX_WAITING) {
            HX_IGNORE(dis_ctx_unqueue(ctx, rq, now), "it waited");
            ctx->stop_ns = now;
        } else if (ctx->state == SCHED_CTX_RUNNING) {
            dis_port_kick(rq->cpu);
        }
    }
    dis_port_unlock(&rq->lock);
    if (wake) {
        dis_wake(ctx, dis_port_cpu(), now);
    }
}

static void ctx_refresh(struct sched_ctx *ctx, struct dis_runner *root, u64 now)
{
    ctx_refresh_locked(dis_ctx_lock(ctx), ctx, root, now);
}

static void own_refresh(struct dis_runner *r, struct dis_runner *root, u64 now)
{
    struct dis_rq *rq = own_lock(r);
    if (rq != NULL) {
        ctx_refresh_locked(rq, r->own, root, now);
    }
}

/* Everything that is lent to r, and what r owns, runs on root. Depth is bounded by inv 1. */
static void tree_refresh(struct dis_runner *r, struct dis_runner *root, u64 now)
{
    struct dis_runner *d;
    own_refresh(r, root, now);
    LIST_FOREACH (&r->donors, d, donor_node) {
        tree_refresh(d, root, now);
    }
}

static u32 height_of(const struct dis_runner *r)
{
    const struct dis_runner *d;
    u32 height = 0;
    LIST_FOREACH (&r->donors, d, donor_node) {
        height = (u32)hx_max_u64(height, d->height + 1);
    }
    return height;
}

static void heights_update(struct dis_runner *r)
{
    for (; r != NULL; r = r->lent_to) {
        r->height = height_of(r);
    }
}

void dis_runner_init(struct dis_runner *runner, struct sched_ctx *own, void *owner)
{
    memset(runner, 0, sizeof(*runner));
    runner->own = own;
    runner->owner = owner;
    runner->cpu = SCHED_ID_NONE;
    list_init(&runner->donors);
    list_init(&runner->donor_node);
    if (own != NULL) {
        own->home = own->runner = runner;
    }
}

/* A runner whose own context is on a queue serves its donors there, and stays there for them. */
static void runner_bind(struct dis_runner *r)
{
    struct dis_rq *rq = own_lock(r);
    if (rq != NULL) {
        r->own->flags |= DIS_CTX_BOUND;
        if (r->cpu == SCHED_ID_NONE && r->own->state != SCHED_CTX_BLOCKED) {
            r->cpu = rq->cpu;
        }
        dis_port_unlock(&rq->lock);
    }
}

/* Its own context goes to `cpu`: donors elsewhere wait until it is done with them, or comes back.
 */
void dis_runner_rebind(struct dis_runner *runner, u32 cpu, u64 now)
{
    struct dis_runner *d;
    dis_port_lock(&donate.lock);
    if (runner->lent_to == NULL && !list_is_empty(&runner->donors)) {
        runner->cpu = cpu;
        LIST_FOREACH (&runner->donors, d, donor_node) {
            tree_refresh(d, runner, now);
        }
    }
    dis_port_unlock(&donate.lock);
}

/* Without donors it is free to go. */
static void runner_unbind(struct dis_runner *r)
{
    if (!list_is_empty(&r->donors)) {
        return;
    }
    r->cpu = SCHED_ID_NONE;
    struct dis_rq *rq = own_lock(r);
    if (rq != NULL) {
        r->own->flags &= (u8)~DIS_CTX_BOUND;
        dis_port_unlock(&rq->lock);
    }
}

/* r stands on its own again, with whatever is lent to it. */
static void root_again(struct dis_runner *r, u64 now)
{
    r->cpu = SCHED_ID_NONE;
    if (!list_is_empty(&r->donors)) {
        runner_bind(r);
    }
    tree_refresh(r, r, now);
}

enum hx_status dis_donate_begin_locked(struct dis_runner *from, struct dis_runner *to)
{
    u32 depth = 1;
    HX_ASSERT(to != NULL);
    if (from->lent_to != NULL) {
        return HX_ERR_BAD_STATE;
    }
    for (struct dis_runner *r = to; r != NULL; r = r->lent_to, depth++) {
        if (r == from) {
            return HX_ERR_DEADLOCK; /* inv 1 */
        }
    }
    if (depth - 1 + from->height > DIS_DONATE_DEPTH_MAX) {
        return HX_ERR_LOOP;
    }
    from->lent_to = to;
    list_add_tail(&to->donors, &from->donor_node);
    heights_update(to);
    to = root_of(to);
    runner_bind(to);
    tree_refresh(from, to, dis_port_now());
    return HX_OK;
}

enum hx_status dis_donate_begin(struct dis_runner *from, struct dis_runner *to)
{
    dis_port_lock(&donate.lock);
    enum hx_status status = dis_donate_begin_locked(from, to);
    dis_port_unlock(&donate.lock);
    return status;
}

void dis_donate_end_locked(struct dis_runner *from, bool ready)
{
    struct dis_runner *to = from->lent_to;
    if (to == NULL) {
        return;
    }
    from->lent_to = NULL;
    list_remove(&from->donor_node);
    heights_update(to);
    runner_unbind(to);
    to = root_of(to);
    runner_unbind(to);
    own_refresh(to, to, dis_port_now()); /* it may have been held for its donors */
    from->ready = ready;
    root_again(from, dis_port_now());
}

void dis_donate_end(struct dis_runner *from)
{
    dis_port_lock(&donate.lock);
    dis_donate_end_locked(from, true);
    dis_port_unlock(&donate.lock);
}

void dis_runner_own(struct dis_runner *runner, struct sched_ctx *ctx)
{
    struct sched_ctx *old = runner->own;
    u8 bound = old != NULL ? old->flags & DIS_CTX_BOUND : 0;
    if (old != NULL) {
        old->flags &= (u8)~DIS_CTX_BOUND;
    }
    ctx->flags |= bound;
    if (ctx->state == SCHED_CTX_AWAY) {
        ctx->state = SCHED_CTX_BLOCKED;
    }
    ctx->home = runner;
    runner->own = ctx;
}

void dis_runner_refresh_locked(struct dis_runner *runner, u64 now)
{
    ctx_refresh(runner->own, root_of(runner), now);
}

void dis_donation_lock(void)
{
    dis_port_lock(&donate.lock);
}

void dis_donation_unlock(void)
{
    dis_port_unlock(&donate.lock);
}

/* The runner's own context may wait, or be about to run on another CPU, while it blocks on a
 * donor's: it leaves the queues as well. */
static void own_leave(struct dis_runner *runner, u64 now)
{
    struct dis_rq *rq = own_lock(runner);
    struct sched_ctx *own = runner->own;
    if (rq == NULL) {
        return;
    }
    if (own->state == SCHED_CTX_WAITING) {
        HX_IGNORE(dis_ctx_unqueue(own, rq, now), "it waited");
        own->stop_ns = now;
    } else if (own->state == SCHED_CTX_RUNNING && rq->cpu != dis_port_cpu()) {
        own->flags |= DIS_CTX_HELD;
        dis_port_kick(rq->cpu);
    }
    dis_port_unlock(&rq->lock);
}

void dis_runner_block_locked(struct dis_runner *runner, u64 now)
{
    struct dis_runner *d;
    runner->ready = false;
    if (runner->lent_to != NULL) {
        return; /* what it runs on goes on with somebody else */
    }
    own_leave(runner, now);
    LIST_FOREACH (&runner->donors, d, donor_node) {
        tree_refresh(d, runner, now);
    }
}

void dis_runner_wake_locked(struct dis_runner *runner, u32 from_cpu, u64 now)
{
    struct dis_runner *d, *root;
    runner->ready = true;
    root = root_of(runner);
    if (root == runner && runner->own != NULL) {
        if (list_is_empty(&runner->donors) && (runner->own->flags & DIS_CTX_HELD) == 0) {
            dis_wake(runner->own, from_cpu, now);
        } else { /* its own context may have to wait: donors may hold it on another CPU */
            own_refresh(runner, root, now);
        }
    }
    LIST_FOREACH (&runner->donors, d, donor_node) {
        tree_refresh(d, root, now);
    }
}

void dis_runner_block(struct dis_runner *runner, u64 now)
{
    dis_port_lock(&donate.lock);
    dis_runner_block_locked(runner, now);
    dis_port_unlock(&donate.lock);
}

void dis_runner_wake(struct dis_runner *runner, u32 from_cpu, u64 now)
{
    dis_port_lock(&donate.lock);
    dis_runner_wake_locked(runner, from_cpu, now);
    dis_port_unlock(&donate.lock);
}

void dis_runner_fini(struct dis_runner *runner)
{
    u64 now = dis_port_now();
    if (runner->lent_to != NULL) {
        dis_donate_end(runner);
    }
    dis_port_lock(&donate.lock);
    while (!list_is_empty(&runner->donors)) {
        struct dis_runner *d = LIST_ENTRY(runner->donors.next, struct dis_runner, donor_node);
        list_remove(&d->donor_node);
        d->lent_to = NULL;
        d->ready = true;
        root_again(d, now);
    }
    runner->ready = false;
    dis_port_unlock(&donate.lock);
}
