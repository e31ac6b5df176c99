/* SPDX-License-Identifier: MIT */
/* Groups: one queue per CPU, a server per CPU for the minimum, a pool for the maximum.
 * Owns:      struct dis_group and its queues.
 * Context:   thread for the life of groups (admission lock); run queue locked for the rest.
 * Maximum:   a pool of max * 100 ms is refilled every 100 ms; CPUs take slices of 1 ms from it and
 *            give back what they do not need. A queue without time leaves its parent until then.
 *            What was overdrawn is taken from the next period, so the average is exact.
 * Minimum:   a hard constant-bandwidth server per CPU, admitted with Realtime. The group's total is
 *            spread over the CPUs where it has work; housekeeping moves it. Raising comes before
 *            lowering, so time that was given back is only used again after a full period: a
 *            server that has just used its budget cannot be replaced by a fresh one.
 */
#include "dis_priv.h"

#define SYSTEM_WEIGHT 4096u
#define PROMPT_SHARE  500u

static bool params_check(struct dis_group_params *p)
{
    if (p->weight == 0) {
        p->weight = SCHED_WEIGHT_UNIT;
    }
    if (p->prompt_permille == 0) {
        p->prompt_permille = PROMPT_SHARE;
    }
    return p->weight >= SCHED_WEIGHT_MIN && p->weight <= SCHED_WEIGHT_MAX &&
           p->min_permille <= 1000 * dis.config.cpus &&
           (p->max_permille == 0 || p->max_permille >= p->min_permille) &&
           p->max_permille <= 1000 * SCHED_CPUS_MAX && p->prompt_permille <= 1000;
}

static u64 pool_size(const struct dis_group *group)
{
    return group->params.max_permille * (DIS_GROUP_PERIOD / 1000);
}

/* Pool locked. */
static void pool_refill(struct dis_group *group, u64 now)
{
    if (now >= group->pool_end) {
        u64 periods = (now - group->pool_end) / DIS_GROUP_PERIOD + 1;
        group->pool_end += periods * DIS_GROUP_PERIOD;
        group->pool = (s64)pool_size(group) + (group->pool < 0 ? group->pool : 0);
    }
}

/* Tops q's quota up from the pool. Return: false, there is nothing. */
static bool quota_take(struct dis_queue *q, u64 now)
{
    struct dis_group *group = q->group;
    s64 want = (s64)DIS_MAX_SLICE - q->quota;
    dis_port_lock(&group->pool_lock);
    pool_refill(group, now);
    if (want > group->pool) {
        want = group->pool > 0 ? group->pool : 0;
    }
    group->pool -= want;
    q->quota += want;
    if (q->quota <= 0) {
        q->rq->throttled_until = hx_min_u64(q->rq->throttled_until, group->pool_end);
    }
    dis_port_unlock(&group->pool_lock);
    return q->quota > 0;
}

/* q's contexts ran. Return: true when q is out of its maximum from now on. */
bool dis_group_charge(struct dis_queue *q, u64 ran, u64 now)
{
    struct dis_group *group = q->group;
    __atomic_fetch_add(&group->exec_ns, ran, __ATOMIC_RELAXED);
    if (!group->capped || q->throttled) {
        return false;
    }
    q->quota -= (s64)ran;
    if (q->quota > 0 || quota_take(q, now)) {
        return false;
    }
    q->throttled = true;
    __atomic_fetch_add(&group->throttles, 1, __ATOMIC_RELAXED);
    list_add_tail(&q->rq->throttled, &q->throttled_node);
    return true;
}

/* q is empty: what it holds may serve on another CPU. */
void dis_group_return(struct dis_queue *q)
{
    struct dis_group *group = q->group;
    if (!group->capped || q->quota == 0) {
        return;
    }
    dis_port_lock(&group->pool_lock);
    group->pool += q->quota;
    dis_port_unlock(&group->pool_lock);
    q->quota = 0;
}

/* A new period: queues that get time return to their parents. */
void dis_group_unthrottle(struct dis_rq *rq, u64 now)
{
    struct dis_queue *q, *tmp;
    rq->throttled_until = DIS_NEVER;
    LIST_FOREACH_SAFE (&rq->throttled, q, tmp, throttled_node) {
        if (q->group->capped && !quota_take(q, now)) {
            continue;
        }
        list_remove(&q->throttled_node);
        q->throttled = false;
        if (q->ent.state == SCHED_CTX_RUNNING) { /* it had not left its parent yet */
            if (q->min.runtime != 0) {
                dis_server_start(rq, &q->min, now);
            }
        } else if (q->nr != 0) {
            dis_fair_show(rq, q, 0, now);
        }
    }
}

static struct dis_queue *queue_create(struct dis_rq *rq, struct dis_group *group,
                                      struct dis_queue *parent)
{
    struct dis_queue *q = dis_port_alloc(sizeof(*q));
    if (q == NULL) {
        return NULL;
    }
    list_init(&q->ent.run_node);
    list_init(&q->ent.rt_node);
    list_init(&q->ent.move_node);
    q->ent.flags = DIS_CTX_GROUP;
    q->ent.layer = DIS_LAYER_FAIR;
    q->ent.affinity = HX_BIT(rq->cpu);
    q->ent.slice_ns = q->ent.user_slice_ns = 3 * HX_NS_PER_MS;
    q->min.kind = DIS_SERVER_QUEUE;
    q->min.hard = true;
    dis_ctx_weight_set(&q->ent, group->params.weight);
    if (dis_id_alloc(&q->ent) != HX_OK) {
        dis_port_free(q, sizeof(*q));
        return NULL;
    }
    dis_port_lock(&rq->lock);
    dis_queue_init(q, rq, group, parent);
    dis_port_unlock(&rq->lock);
    return q;
}

static void queue_destroy(struct dis_queue *q)
{
    dis_port_lock(&q->rq->lock);
    if (q->min.runtime != 0) {
        dis_server_stop(q->rq, &q->min);
    }
    list_remove(&q->rq_node);
    list_remove(&q->throttled_node);
    dis_port_unlock(&q->rq->lock);
    dis_id_free(&q->ent);
    dis_port_free(q, sizeof(*q));
}

/* The server of q serves `permille` of its CPU from its next release on. */
static void min_set(struct dis_queue *q, u32 permille, u64 period, u64 now)
{
    u64 runtime = permille * (period / 1000);
    dis_port_lock(&q->rq->lock);
    q->min_wanted = permille;
    if (q->min.runtime == 0 && runtime != 0) {
        q->min.period = q->min.rel_deadline = period;
        q->min.release = now - period;
        q->min.deadline = now;
        q->min.budget = 0;
        q->min.runtime = runtime;
        if (q->nr != 0 && !q->throttled) {
            dis_server_start(q->rq, &q->min, now);
            dis_port_kick(q->rq->cpu);
        }
    } else if (runtime == 0) {
        if (q->min.runtime != 0) {
            dis_server_stop(q->rq, &q->min);
        }
        q->min.runtime = 0;
    } else {
        q->min.runtime = runtime;
        if (q->min.budget > (s64)runtime) {
            q->min.budget = (s64)runtime;
        }
    }
    dis_port_unlock(&q->rq->lock);
}

/* Raises q's minimum to `want`, or as near as admission lets it. Return: what it is now. */
static u32 min_raise(struct dis_queue *q, u32 want, u64 now)
{
    u32 have = (u32)q->min_wanted, low = have, high = want;
    while (low < high) {
        u32 mid = low + (high - low + 1) / 2;
        if (dis_admit_server(q->rq, &q->min, mid * (DIS_GROUP_PERIOD / 1000), DIS_GROUP_PERIOD,
                             DIS_GROUP_PERIOD)) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    if (low > have) {
        min_set(q, low, DIS_GROUP_PERIOD, now);
        dis_admit_yield(q->rq);
    }
    return low;
}

/* Moves the group's minimum towards where its work is. Admission lock held. Return: false, the
 * total is not placed. */
static bool group_spread(struct dis_group *group, u64 now)
{
    u64 leaves = 0, placed = 0;
    u32 want[SCHED_CPUS_MAX] = {0};
    u32 total = group->params.min_permille, left = total;
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        leaves += (dis.online & HX_BIT(cpu)) != 0 ? HX_READ_ONCE(group->queue[cpu]->leaves) : 0;
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        u32 here = HX_READ_ONCE(group->queue[cpu]->leaves);
        want[cpu] = 0;
        if ((dis.online & HX_BIT(cpu)) == 0) {
            continue;
        }
        if (leaves == 0) { /* no work: stay */
            want[cpu] = (u32)group->queue[cpu]->min_wanted;
        } else {
            want[cpu] = (u32)hx_min_u64((u64)total * here / leaves, 1000);
        }
        want[cpu] = (u32)hx_min_u64(want[cpu], left);
        left -= want[cpu];
    }
    /* Rounding, and shares above one CPU, go to whoever has room; then raise, then lower. */
    for (u32 pass = 0; pass < 2; pass++) {
        for (u32 cpu = 0; cpu < dis.config.cpus && left != 0; cpu++) {
            bool fit = (dis.online & HX_BIT(cpu)) != 0 && want[cpu] < 1000 &&
                       (pass == 1 || group->queue[cpu]->leaves != 0);
            if (fit) {
                u32 more = (u32)hx_min_u64(left, 1000 - want[cpu]);
                if (pass == 1 && leaves == 0) {
                    more = (u32)hx_min_u64(more, total / dis.config.cpus + 1);
                }
                want[cpu] += more;
                left -= more;
            }
        }
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        placed += min_raise(group->queue[cpu], want[cpu], now);
    }
    /* What did not fit where it was wanted goes where there is work and room. */
    for (u32 cpu = 0; cpu < dis.config.cpus && placed < total; cpu++) {
        struct dis_queue *q = group->queue[cpu];
        if ((dis.online & HX_BIT(cpu)) != 0 && (leaves == 0 || q->leaves != 0)) {
            u32 before = (u32)q->min_wanted;
            u64 more = hx_min_u64(total - placed + before, 1000);
            placed += min_raise(q, (u32)more, now) - before;
        }
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        struct dis_queue *q = group->queue[cpu];
        if (want[cpu] < q->min_wanted && placed > total) {
            u32 less = (u32)hx_min_u64(q->min_wanted - want[cpu], placed - total);
            min_set(q, (u32)q->min_wanted - less, DIS_GROUP_PERIOD, now);
            placed -= less;
        }
    }
    return placed >= total;
}

void dis_group_spread(u64 now)
{
    struct dis_group *group;
    LIST_FOREACH (&dis.groups, group, node) {
        if (group->params.min_permille != 0) {
            HX_IGNORE(group_spread(group, now), "what cannot move now moves next time");
        }
    }
}

static void group_destroy(struct dis_group *group)
{
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        if (group->queue[cpu] != NULL) {
            queue_destroy(group->queue[cpu]);
        }
    }
    list_remove(&group->sibling);
    list_remove(&group->node);
    dis_port_free(group, sizeof(*group));
}

static struct dis_group *group_create(struct dis_group *parent,
                                      const struct dis_group_params *params)
{
    struct dis_group *group = dis_port_alloc(sizeof(*group));
    if (group == NULL) {
        return NULL;
    }
    dis_port_lock_init(&group->pool_lock, DIS_RANK_POOL);
    group->parent = parent;
    group->params = *params;
    group->capped = params->max_permille != 0;
    group->pool_end = dis_port_now();
    group->depth = parent == NULL ? 0 : parent->depth + 1;
    list_init(&group->children);
    list_init(&group->sibling);
    list_add_tail(&dis.groups, &group->node);
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        group->queue[cpu] =
            queue_create(dis.rq[cpu], group, parent == NULL ? NULL : parent->queue[cpu]);
        if (group->queue[cpu] == NULL) {
            group_destroy(group);
            return NULL;
        }
    }
    if (parent != NULL) {
        list_add_tail(&parent->children, &group->sibling);
    }
    return group;
}

enum hx_status dis_group_create(struct dis_group *parent, const struct dis_group_params *params,
                                struct dis_group **out_group)
{
    struct dis_group_params p = *params;
    enum hx_status status = HX_OK;
    struct dis_group *group;
    if (!params_check(&p)) {
        return HX_ERR_INVALID;
    }
    parent = parent == NULL ? dis.root : parent;
    if (parent->depth + 1 > DIS_GROUP_DEPTH_MAX) {
        return HX_ERR_LOOP;
    }
    dis_port_mutex_lock(&dis.admission);
    group = group_create(parent, &p);
    if (group == NULL) {
        status = HX_ERR_NO_MEMORY;
    } else if (p.min_permille != 0 && !group_spread(group, dis_port_now())) {
        group_destroy(group);
        status = HX_ERR_NO_FIT;
    } else {
        *out_group = group;
    }
    dis_port_mutex_unlock(&dis.admission);
    return status;
}

enum hx_status dis_group_destroy(struct dis_group *group)
{
    enum hx_status status = HX_ERR_BUSY;
    dis_port_mutex_lock(&dis.admission);
    if (group->users == 0 && list_is_empty(&group->children)) {
        group_destroy(group);
        status = HX_OK;
    }
    dis_port_mutex_unlock(&dis.admission);
    return status;
}

/* Takes q's entity out of its parent, changes its weight, and puts it back. */
static void weight_change(struct dis_queue *q, u32 weight, u64 now)
{
    struct dis_rq *rq = q->rq;
    dis_port_lock(&rq->lock);
    dis_account(rq, now);
    if (q->ent.state == SCHED_CTX_WAITING) {
        dis_queue_del(q->parent, &q->ent, now);
        dis_ctx_weight_set(&q->ent, weight);
        dis_queue_add(q->parent, &q->ent, 0, now);
    } else if (q->ent.state == SCHED_CTX_RUNNING) {
        dis_queue_put(q->parent, &q->ent, 0, SCHED_PUT_LEAVE, now);
        dis_ctx_weight_set(&q->ent, weight);
        dis_queue_add(q->parent, &q->ent, 0, now);
        HX_IGNORE(dis_queue_start(q->parent, &q->ent, now), "the leaf's slice goes on");
    } else {
        dis_ctx_weight_set(&q->ent, weight);
    }
    dis_port_unlock(&rq->lock);
}

enum hx_status dis_group_set(struct dis_group *group, const struct dis_group_params *params)
{
    struct dis_group_params p = *params, old = group->params;
    enum hx_status status = HX_OK;
    u64 now = dis_port_now();
    if (!params_check(&p) || group->parent == NULL) {
        return HX_ERR_INVALID;
    }
    dis_port_mutex_lock(&dis.admission);
    group->params = p;
    if (p.min_permille != old.min_permille && !group_spread(group, now)) {
        group->params = old;
        HX_IGNORE(group_spread(group, now), "what it had, it can have");
        status = HX_ERR_NO_FIT;
        goto out_unlock;
    }
    group->capped = p.max_permille != 0;
    for (u32 cpu = 0; cpu < dis.config.cpus && p.weight != old.weight; cpu++) {
        weight_change(group->queue[cpu], p.weight, now);
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) { /* a new maximum holds from now on */
        struct dis_rq *rq = dis.rq[cpu];
        dis_port_lock(&rq->lock);
        if (!list_is_empty(&rq->throttled)) {
            rq->throttled_until = hx_min_u64(rq->throttled_until, now);
            dis_port_kick(cpu);
        }
        dis_port_unlock(&rq->lock);
    }
out_unlock:
    dis_port_mutex_unlock(&dis.admission);
    return status;
}

enum hx_status dis_group_attach(struct sched_ctx *ctx, struct dis_group *group)
{
    struct dis_rq *rq;
    enum dis_was was;
    u64 now;
    dis_port_mutex_lock(&dis.admission);
    group = group == NULL ? dis.root : group;
    if (ctx->cls == SCHED_CLASS_SYSTEM || group == dis.system) {
        dis_port_mutex_unlock(&dis.admission);
        return HX_ERR_INVALID;
    }
    now = dis_port_now();
    rq = dis_ctx_lock(ctx);
    was = dis_ctx_unqueue(ctx, rq, now);
    if (ctx->cls == SCHED_CLASS_INTERACTIVE && (ctx->flags & DIS_CTX_ADMITTED) != 0) {
        ctx->group->prompt_permille -= ctx->prompt_permille;
        group->prompt_permille += ctx->prompt_permille;
    }
    ctx->group->users--;
    group->users++;
    ctx->group = group;
    dis_ctx_special_update(ctx);
    dis_ctx_requeue(ctx, rq, was, now);
    dis_port_unlock(&rq->lock);
    dis_port_mutex_unlock(&dis.admission);
    return HX_OK;
}

void dis_group_stats(const struct dis_group *group, struct dis_group_stats *out)
{
    memset(out, 0, sizeof(*out));
    out->exec_ns = __atomic_load_n(&group->exec_ns, __ATOMIC_RELAXED);
    out->throttled = __atomic_load_n(&group->throttles, __ATOMIC_RELAXED);
    out->prompt_permille = group->prompt_permille;
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        out->nr += HX_READ_ONCE(group->queue[cpu]->leaves);
    }
}

/* The root, the idle layer, and the System group with its server on each CPU. */
enum hx_status dis_groups_init(void)
{
    struct dis_group_params params = {.weight = SCHED_WEIGHT_UNIT, .prompt_permille = 1000};
    dis.root = group_create(NULL, &params);
    dis.idle = group_create(NULL, &params);
    if (dis.root == NULL || dis.idle == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        struct dis_rq *rq = dis.rq[cpu];
        rq->root = dis.root->queue[cpu];
        rq->idle = dis.idle->queue[cpu];
        rq->root->min.kind = DIS_SERVER_GUARD;
        min_set(rq->root, dis.config.guard_permille, DIS_GUARD_PERIOD, 0);
    }
    params.weight = SYSTEM_WEIGHT;
    dis.system = group_create(dis.root, &params);
    if (dis.system == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        min_set(dis.system->queue[cpu], dis.config.system_permille, DIS_SYSTEM_PERIOD, 0);
    }
    return HX_OK;
}

void dis_groups_fini(void)
{
    while (dis.groups.prev != NULL && !list_is_empty(&dis.groups)) { /* children before parents */
        group_destroy(LIST_ENTRY(dis.groups.prev, struct dis_group, node));
    }
}
