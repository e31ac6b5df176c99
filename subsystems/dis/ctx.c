/* SPDX-License-Identifier: MIT */
/* Contexts and their ids; starting and ending the scheduler.
 * Context:   thread.
 * Ids:       a table of two levels that only grows. A policy answers with an id, so that a wrong
 *            answer is a failed look-up and never a wild pointer. Freed ids are reused last in,
 *            first out. Readers take no lock: a chunk is complete before it is linked.
 */
#include "dis_priv.h"

#define IDS_TABLE_SIZE ((DIS_IDS_MAX >> DIS_IDS_SHIFT) * sizeof(void *))

static struct {
    struct dis_lock lock;
    u32 next; /* l; never used so far */
    u32 free; /* l; the last one freed, and through next_free those before; SCHED_ID_NONE: none */
} ids;

static struct dis_id_slot *slot_of(u32 id)
{
    return &dis.ids[id >> DIS_IDS_SHIFT][id & (DIS_IDS_CHUNK - 1)];
}

enum hx_status dis_id_alloc(struct sched_ctx *ctx)
{
    u32 id;
    dis_port_lock(&ids.lock);
    if (ids.free != SCHED_ID_NONE) {
        id = ids.free;
        ids.free = slot_of(id)->next_free;
    } else if (ids.next < DIS_IDS_MAX && dis.ids[ids.next >> DIS_IDS_SHIFT] != NULL) {
        id = ids.next++;
    } else {
        struct dis_id_slot *chunk, *none = NULL;
        u32 at = ids.next >> DIS_IDS_SHIFT;
        bool full = ids.next == DIS_IDS_MAX;
        dis_port_unlock(&ids.lock);
        chunk = full ? NULL : dis_port_alloc(DIS_IDS_CHUNK * sizeof(*chunk));
        if (chunk == NULL) {
            return full ? HX_ERR_NO_SPACE : HX_ERR_NO_MEMORY;
        }
        if (!__atomic_compare_exchange_n(&dis.ids[at], &none, chunk, false, __ATOMIC_RELEASE,
                                         __ATOMIC_ACQUIRE)) {
            dis_port_free(chunk, DIS_IDS_CHUNK * sizeof(*chunk)); /* another one was faster */
        }
        return dis_id_alloc(ctx);
    }
    dis_port_unlock(&ids.lock);
    ctx->id = id;
    __atomic_store_n(&slot_of(id)->ctx, ctx, __ATOMIC_RELEASE);
    return HX_OK;
}

void dis_id_free(struct sched_ctx *ctx)
{
    struct dis_id_slot *slot = slot_of(ctx->id);
    dis_port_lock(&ids.lock);
    slot->ctx = NULL;
    slot->next_free = ids.free;
    ids.free = ctx->id;
    dis_port_unlock(&ids.lock);
}

struct sched_ctx *dis_ctx_find(u32 id)
{
    struct sched_ctx *ctx = dis_id_lookup(id);
    return ctx != NULL && (ctx->flags & DIS_CTX_GROUP) == 0 ? ctx : NULL;
}

enum hx_status dis_ctx_create(struct sched_ctx *ctx, struct dis_group *group, u32 flags)
{
    enum hx_status status;
    memset(ctx, 0, sizeof(*ctx));
    list_init(&ctx->run_node);
    list_init(&ctx->rt_node);
    list_init(&ctx->move_node);
    ctx->state = SCHED_CTX_BLOCKED;
    ctx->layer = DIS_LAYER_NONE;
    ctx->cls = SCHED_CLASS_BATCH;
    ctx->affinity = ~0ull;
    ctx->slice_ns = ctx->user_slice_ns = 3 * HX_NS_PER_MS;
    ctx->group = group == NULL ? dis.root : group;
    ctx->cpu = (u32)__builtin_ctzll(dis.online);
    ctx->stop_ns = dis_port_now();
    dis_ctx_weight_set(ctx, SCHED_WEIGHT_UNIT);
    if ((flags & DIS_CREATE_HIST) != 0) {
        ctx->hist = dis_port_alloc(sizeof(*ctx->hist));
        if (ctx->hist == NULL) {
            return HX_ERR_NO_MEMORY;
        }
    }
    status = dis_id_alloc(ctx);
    if (status != HX_OK) {
        dis_port_free(ctx->hist, sizeof(*ctx->hist));
        ctx->hist = NULL;
        return status;
    }
    __atomic_fetch_add(&ctx->group->users, 1, __ATOMIC_RELAXED);
    dis_ctx_special_update(ctx);
    return HX_OK;
}

void dis_ctx_destroy(struct sched_ctx *ctx)
{
    dis_port_mutex_lock(&dis.admission);
    HX_ASSERT(ctx->state == SCHED_CTX_BLOCKED);
    if ((ctx->flags & DIS_CTX_ADMITTED) != 0) {
        HX_IGNORE(dis_admit_ghost_room(), "without memory nothing can be admitted either");
        dis_admit_ghost(ctx, dis_port_now());
        dis_admit_release(ctx);
    }
    __atomic_fetch_sub(&ctx->group->users, 1, __ATOMIC_RELAXED);
    dis_port_mutex_unlock(&dis.admission);
    dis_id_free(ctx);
    dis_port_free(ctx->hist, sizeof(*ctx->hist));
    ctx->hist = NULL;
    ctx->state = SCHED_CTX_DEAD;
}

void dis_ctx_make_stop(struct sched_ctx *ctx, u32 cpu)
{
    struct dis_rq *rq = dis_ctx_lock(ctx);
    HX_ASSERT(ctx->state == SCHED_CTX_BLOCKED);
    ctx->layer = DIS_LAYER_STOP;
    dis_ctx_special_update(ctx);
    ctx->affinity = HX_BIT(cpu);
    ctx->server.kind = DIS_SERVER_CTX;
    __atomic_store_n(&ctx->cpu, cpu, __ATOMIC_RELEASE);
    dis_port_unlock(&rq->lock);
}

enum hx_status dis_init(const struct dis_config *config, const struct sched_policy_ops *ops)
{
    enum hx_status status;
    if (config->cpus == 0 || config->cpus > SCHED_CPUS_MAX || config->rt_permille > 1000 ||
        config->prompt_permille > 1000 || config->guard_permille + config->system_permille > 500) {
        return HX_ERR_INVALID;
    }
    memset(&dis, 0, sizeof(dis));
    memset(&ids, 0, sizeof(ids));
    ids.free = SCHED_ID_NONE;
    dis_port_mutex_init(&dis.admission);
    dis_port_lock_init(&ids.lock, DIS_RANK_IDS);
    dis_donate_init();
    dis.config = *config;
    dis.policy = &dis_policy_builtin;
    dis.policy_gen = 1;
    dis.opt_enabled = true;
    list_init(&dis.groups);
    list_init(&dis.reserved);
    dis.ids = dis_port_alloc(IDS_TABLE_SIZE);
    if (dis.ids == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    for (u32 cpu = 0; cpu < config->cpus; cpu++) {
        dis.rq[cpu] = dis_port_alloc(sizeof(struct dis_rq));
        if (dis.rq[cpu] == NULL) {
            status = HX_ERR_NO_MEMORY;
            goto out_fini;
        }
        dis_rq_init(dis.rq[cpu], cpu);
        dis.rq[cpu]->policy_gen = dis.policy_gen;
        dis.rq[cpu]->online = config->online == 0 || (config->online & HX_BIT(cpu)) != 0;
        dis.rq[cpu]->inbox_open = dis.rq[cpu]->online;
        dis.online |= dis.rq[cpu]->online ? HX_BIT(cpu) : 0;
    }
    if (dis.online == 0) {
        status = HX_ERR_INVALID;
        goto out_fini;
    }
    status = dis_admit_init();
    if (status == HX_OK) {
        status = dis_groups_init();
    }
    if (status == HX_OK) {
        status = dis_policy_set(ops);
    }
    if (status == HX_OK) {
        for (u32 cpu = 0; cpu < config->cpus; cpu++) {
            dis_policy_follow(dis.rq[cpu], 0);
        }
        return HX_OK;
    }
out_fini:
    dis_fini();
    return status;
}

void dis_fini(void)
{
    dis_groups_fini();
    dis_admit_fini();
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        dis_port_free(dis.rq[cpu], sizeof(struct dis_rq));
        dis.rq[cpu] = NULL;
    }
    for (u32 i = 0; i < DIS_IDS_MAX >> DIS_IDS_SHIFT; i++) {
        dis_port_free(dis.ids[i], DIS_IDS_CHUNK * sizeof(struct dis_id_slot));
    }
    dis_port_free(dis.ids, IDS_TABLE_SIZE);
    memset(&ids, 0, sizeof(ids));
    memset(&dis, 0, sizeof(dis));
}
