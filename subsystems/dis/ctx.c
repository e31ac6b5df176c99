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
    u32 next;  /* never used so far */
    u32 *free; /* stack of freed ids */
    u32 free_nr, free_room;
} ids;

enum hx_status dis_id_alloc(struct sched_ctx *ctx)
{
    u32 id;
    dis_port_lock(&ids.lock);
    if (ids.free_nr != 0) {
        id = ids.free[--ids.free_nr];
    } else if (ids.next < DIS_IDS_MAX) {
        id = ids.next++;
    } else {
        dis_port_unlock(&ids.lock);
        return HX_ERR_NO_SPACE;
    }
    dis_port_unlock(&ids.lock);
    if (dis.ids[id >> DIS_IDS_SHIFT] == NULL) {
        struct dis_id_slot *chunk = dis_port_alloc(DIS_IDS_CHUNK * sizeof(*chunk));
        struct dis_id_slot *none = NULL;
        if (chunk == NULL) {
            ctx->id = id;
            dis_id_free(ctx);
            return HX_ERR_NO_MEMORY;
        }
        if (!__atomic_compare_exchange_n(&dis.ids[id >> DIS_IDS_SHIFT], &none, chunk, false,
                                         __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
            dis_port_free(chunk, DIS_IDS_CHUNK * sizeof(*chunk)); /* another one was faster */
        }
    }
    ctx->id = id;
    __atomic_store_n(&dis.ids[id >> DIS_IDS_SHIFT][id & (DIS_IDS_CHUNK - 1)].ctx, ctx,
                     __ATOMIC_RELEASE);
    return HX_OK;
}

void dis_id_free(struct sched_ctx *ctx)
{
    u32 *bigger = NULL, room = 0;
    if (dis_id_lookup(ctx->id) == ctx) {
        dis.ids[ctx->id >> DIS_IDS_SHIFT][ctx->id & (DIS_IDS_CHUNK - 1)].ctx = NULL;
    }
    if (ids.free_nr == ids.free_room) {
        room = ids.free_room == 0 ? 256 : ids.free_room * 2;
        bigger = dis_port_alloc(room * sizeof(*bigger));
    }
    dis_port_lock(&ids.lock);
    if (bigger != NULL && room > ids.free_room) {
        u32 *old = ids.free, old_room = ids.free_room;
        if (old != NULL) {
            memcpy(bigger, old, ids.free_nr * sizeof(*bigger));
        }
        ids.free = bigger;
        ids.free_room = room;
        bigger = old;
        room = old_room;
    }
    if (ids.free_nr < ids.free_room) { /* without memory an id is lost, nothing else */
        ids.free[ids.free_nr++] = ctx->id;
    }
    dis_port_unlock(&ids.lock);
    dis_port_free(bigger, room * sizeof(*bigger));
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
        dis.rq[cpu]->online = true;
        dis.online |= HX_BIT(cpu);
    }
    status = dis_groups_init();
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
    dis_port_free(ids.free, ids.free_room * sizeof(*ids.free));
    memset(&ids, 0, sizeof(ids));
    memset(&dis, 0, sizeof(dis));
}
