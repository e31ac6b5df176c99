/* SPDX-License-Identifier: MIT */
/* What the files of DIS share and nobody else sees: run queues, queues, groups, and the calls
 * between the files. Marking of fields: I fixed at creation; l run queue's lock; A admission lock;
 * p the group's pool lock; a atomic.
 */
#ifndef DIS_PRIV_H
#define DIS_PRIV_H

#include <dis/dis.h>
#include <dis/donate.h>
#include <dis/group.h>
#include <dis/policy.h>
#include <dis/stats.h>
#include <dis/tree.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>

#define DIS_GUARD_PERIOD  (100 * HX_NS_PER_MS)
#define DIS_SYSTEM_PERIOD (10 * HX_NS_PER_MS)
#define DIS_GROUP_PERIOD  (100 * HX_NS_PER_MS) /* of cpu_min servers and cpu_max budgets */
#define DIS_MAX_SLICE     (HX_NS_PER_MS)       /* of a cpu_max budget handed to one CPU */
#define DIS_TOKEN_MIN     (100 * HX_NS_PER_US) /* tokens are regained in this quantum */
#define DIS_BG_PERIOD     (100 * HX_NS_PER_MS)
#define DIS_BG_QUANTUM    (1300 * HX_NS_PER_US) /* 1.3 ms in 100 ms and a slice: above 1 % */
#define DIS_DRAIN         8u                    /* contexts that follow a new policy per pick */
#define DIS_STRIKES       3u
#define DIS_RAN_MAX       (1ull << 40) /* one charge, ns: a stopped clock cannot overflow a sum */

/* ctx->flags, with those in <core/dis.h> */
#define DIS_CTX_GROUP    1u /* the entity of a group's queue in its parent's */
#define DIS_CTX_ADMITTED 2u /* holds a reservation */
#define DIS_CTX_PINNED   4u
#define DIS_CTX_FORCED   32u /* runs by a server below it, not by its queue's policy */

enum dis_server_state {
    DIS_SERVER_IDLE,     /* nothing to serve */
    DIS_SERVER_READY,    /* in rq->edf */
    DIS_SERVER_THROTTLED /* in rq->waiting until node.key */
};

enum dis_server_kind { DIS_SERVER_CTX, DIS_SERVER_QUEUE, DIS_SERVER_GUARD };

/* One group's contexts on one CPU. */
struct dis_queue {
    const struct sched_policy_ops *ops;     /* l */
    struct sched_queue *view;               /* l; the one of views[] that ops works on */
    u32 gen;                                /* l; contexts with this gen are held by ops */
    u32 nr;                                 /* l; runnable contexts, all generations */
    u32 attached;                           /* l; of these, held by ops */
    struct list_node runnable;              /* l; ground truth, in order of arrival */
    u64 weight;                             /* l; sum over runnable */
    u64 served_ns;                          /* l; CPU time that the policy gave away */
    u64 slice_max;                          /* l; largest slice the present policy gave */
    const struct sched_policy_ops *old_ops; /* l; NULL: nothing of it left */
    struct sched_queue *old_view;           /* l */
    u32 old_gen, old_nr;                    /* l */
    u32 leaves;                             /* l; contexts at and below this queue */
    u64 load;                               /* l; the sum of their weights */
    bool throttled;                         /* l; `max` is used up */
    bool idle_layer;                        /* I */
    struct dis_queue *parent;               /* I */
    struct dis_group *group;                /* I */
    struct dis_rq *rq;                      /* I */
    struct list_node rq_node;               /* l; on rq->queues */
    struct list_node throttled_node;        /* l; on rq->throttled */
    struct list_node *audit;                /* l; where the search for forgotten contexts is */
    s64 quota;                              /* l; ns left of `max` on this CPU */
    struct sched_server min;                /* l; cpu_min, or the root's guard */
    u64 min_wanted;                         /* A; permille, what the server was admitted for */
    struct sched_ctx ent;                   /* l; in the parent's queue */
    struct sched_queue views[2];
};

struct dis_group {
    struct dis_group *parent;       /* I */
    struct list_node children;      /* A */
    struct list_node sibling;       /* A; on parent->children */
    struct list_node node;          /* A; on dis.groups */
    struct dis_group_params params; /* A */
    u32 depth;                      /* I */
    u32 users;                      /* A; contexts */
    u32 prompt_permille;            /* A; reserved */
    bool capped;                    /* a; max_permille != 0 */
    struct dis_lock pool_lock;
    s64 pool;                                /* p; ns left in this period */
    u64 pool_end;                            /* p; end of the period */
    u64 exec_ns, throttles;                  /* a */
    struct dis_queue *queue[SCHED_CPUS_MAX]; /* I */
};

/* One id's context; NULL: the id is free. */
struct dis_id_slot {
    struct sched_ctx *ctx; /* a */
    u32 next_free;         /* while it is free: the one freed before */
};

struct dis_state {
    struct dis_config config;
    struct dis_mutex admission; /* before every lock */
    struct dis_rq *rq[SCHED_CPUS_MAX];
    u64 online; /* A, read anywhere; bit per CPU */
    struct dis_group *root, *idle, *system;
    struct list_node groups;   /* A */
    struct list_node reserved; /* A; contexts with reservations, in order of admission */
    const struct sched_policy_ops *policy;   /* a; what queues should run */
    u32 policy_gen;                          /* a */
    bool policy_dead;                        /* a; the generation before must not be called again */
    const char *ejected;                     /* a */
    u32 strikes, ejections, exchanges;       /* a */
    struct dis_id_slot **ids;                /* two levels; see ctx.c */
    u64 misses, overruns, refused, admitted; /* a */
    u64 last_miss_ns, last_overrun_ns;
    u32 last_miss_id, last_overrun_id;
    bool opt_enabled; /* a */
};

extern struct dis_state dis; /* shared by the files of DIS: there is one scheduler */

#define DIS_IDS_SHIFT 12
#define DIS_IDS_CHUNK (1u << DIS_IDS_SHIFT)
#define DIS_IDS_MAX   (1u << 20)

static inline struct sched_ctx *dis_id_lookup(u32 id)
{
    struct dis_id_slot *chunk;
    if (hx_unlikely(id >= DIS_IDS_MAX)) {
        return NULL;
    }
    chunk = dis.ids[id >> DIS_IDS_SHIFT];
    return hx_unlikely(chunk == NULL) ? NULL : chunk[id & (DIS_IDS_CHUNK - 1)].ctx;
}

static inline struct dis_queue *dis_queue_of_ent(struct sched_ctx *ent)
{
    return HX_CONTAINER_OF(ent, struct dis_queue, ent);
}

static inline bool dis_layer_is_fair(u8 layer)
{
    return layer == DIS_LAYER_FAIR || layer == DIS_LAYER_IDLE;
}

static inline void dis_ctx_weight_set(struct sched_ctx *ctx, u32 weight)
{
    ctx->weight = weight;
    ctx->inv_weight = ((u64)SCHED_WEIGHT_UNIT << SCHED_INV_SHIFT) / weight;
}

/* It went along with a call, and stays where it is until that is over. */
static inline bool dis_ctx_is_out(const struct sched_ctx *ctx)
{
    return ctx->owner != NULL && ctx->home->owner != ctx->owner;
}

/* After a change of class, group, weight or deadline. */
static inline void dis_ctx_special_update(struct sched_ctx *ctx)
{
    ctx->special = ctx->cls != SCHED_CLASS_BATCH || ctx->group != dis.root || ctx->deadline != 0 ||
                   ctx->weight != SCHED_WEIGHT_UNIT || ctx->hist != NULL ||
                   ctx->layer == DIS_LAYER_STOP;
}

static inline u32 dis_hist_bucket(u64 ns)
{
    u64 us = ns / HX_NS_PER_US;
    u32 bucket = us == 0 ? 0 : hx_log2_floor(us) + 1;
    return bucket < DIS_HIST_BUCKETS ? bucket : DIS_HIST_BUCKETS - 1;
}

/* ctx.c: ids, creation. */
enum hx_status dis_id_alloc(struct sched_ctx *ctx) HX_MUST_CHECK;
void dis_id_free(struct sched_ctx *ctx);

/* edf.c: servers. All with the run queue locked. */
void dis_server_start(struct dis_rq *rq, struct sched_server *s, u64 now);
void dis_server_stop(struct dis_rq *rq, struct sched_server *s);
bool dis_server_charge(struct dis_rq *rq, struct sched_server *s, u64 ran, u64 now);
void dis_server_overrun(struct dis_rq *rq, struct sched_server *s, u64 now);
void dis_server_resume(struct dis_rq *rq, struct sched_server *s);
bool dis_server_expire(struct dis_rq *rq, u64 now);
struct sched_ctx *dis_server_ctx(struct sched_server *s);
bool dis_prompt_grant(struct dis_rq *rq, struct sched_ctx *ctx, u64 now);

static inline struct sched_server *dis_server_first(const struct dis_rq *rq)
{
    return rq->edf.first == NULL ? NULL : HX_CONTAINER_OF(rq->edf.first, struct sched_server, node);
}

/* queue.c: the fair layers, and every call into a policy. All with the run queue locked. */
void dis_queue_init(struct dis_queue *q, struct dis_rq *rq, struct dis_group *group,
                    struct dis_queue *parent);
void dis_queue_add(struct dis_queue *q, struct sched_ctx *e, u32 flags, u64 now);
void dis_queue_del(struct dis_queue *q, struct sched_ctx *e, u64 now);
struct sched_ctx *dis_queue_pick(struct dis_queue *q, u64 now, u64 *out_slice);
u64 dis_queue_start(struct dis_queue *q, struct sched_ctx *e, u64 now);
void dis_queue_put(struct dis_queue *q, struct sched_ctx *e, u64 ran, enum sched_put how, u64 now);
void dis_queue_charge(struct dis_queue *q, struct sched_ctx *e, u64 ran, u64 now);
u64 dis_queue_slice_clamp(struct dis_queue *q, u64 slice);
bool dis_queue_preempts(struct dis_queue *q, struct sched_ctx *running, struct sched_ctx *woken,
                        u64 now);
struct sched_ctx *dis_queue_steal(struct dis_queue *q, u32 to_cpu, u64 below, u64 now);
void dis_queue_strike(struct dis_queue *q, u32 id, u64 now);
void dis_queue_drain(struct dis_queue *q, u32 max, u64 now);
void dis_queue_audit(struct dis_queue *q, u64 now);
void dis_policy_follow(struct dis_rq *rq, u64 now);

/* `running` of q, all of whose contexts are the present policy's, yields after ran ns: the policy's
 * choice, with its slice. NULL: it was wrong, and a strike; then none of q runs. */
static HX_ALWAYS_INLINE struct sched_ctx *
dis_queue_yield(struct dis_queue *q, struct sched_ctx *running, u64 ran, u64 *out_slice)
{
    u32 id = q->ops->yield(q->view, running, ran, out_slice);
    struct sched_ctx *e = dis_id_lookup(id);
    if (hx_unlikely(e == NULL || e->queue != q || e->state != SCHED_CTX_WAITING)) {
        dis_queue_strike(q, id, q->view->now);
        return NULL;
    }
    return e;
}

/* What a context was before its parameters were changed. */
enum dis_was { DIS_WAS_BLOCKED, DIS_WAS_WAITING, DIS_WAS_RUNNING };

/* executor.c. Run queue locked. */
void dis_rq_init(struct dis_rq *rq, u32 cpu);
void dis_rq_settle(struct dis_rq *rq, u64 now);
void dis_fair_show(struct dis_rq *rq, struct dis_queue *q, u32 flags, u64 now);
void dis_fair_add(struct dis_rq *rq, struct sched_ctx *ctx, u32 flags, u64 now);
void dis_fair_del(struct dis_rq *rq, struct sched_ctx *ctx, u64 now);
void dis_rq_enqueue(struct dis_rq *rq, struct sched_ctx *ctx, u32 flags, u64 now);
void dis_rq_dequeue(struct dis_rq *rq, struct sched_ctx *ctx, u64 now);
bool dis_rq_check_preempt(struct dis_rq *rq, struct sched_ctx *ctx, u64 now);
struct dis_rq *dis_ctx_lock(struct sched_ctx *ctx);
enum dis_was dis_ctx_unqueue(struct sched_ctx *ctx, struct dis_rq *rq, u64 now);
void dis_ctx_requeue(struct sched_ctx *ctx, struct dis_rq *rq, enum dis_was was, u64 now);
u32 dis_ctx_home_cpu(const struct sched_ctx *ctx);
void dis_ctx_push(struct sched_ctx *ctx, u32 cpu);
void dis_timer_program(struct dis_rq *rq, u64 now);

/* admit.c: with the admission lock held. */
enum hx_status dis_admit_init(void) HX_MUST_CHECK;
void dis_admit_fini(void);
void dis_admit_release(struct sched_ctx *ctx);
void dis_admit_hold(struct sched_ctx *ctx);
enum hx_status dis_admit_ghost_room(void) HX_MUST_CHECK;
void dis_admit_ghost(const struct sched_ctx *ctx, u64 now);
void dis_admit_yield(struct dis_rq *rq);
u64 dis_admit_wcet(const struct sched_ctx *ctx);
enum hx_status dis_admit_rt(const struct hx_intent *in, u64 mask, struct sched_piece *pieces,
                            u32 *out_n, struct hx_intent_result *res) HX_MUST_CHECK;
u64 dis_admit_slack(const struct hx_intent *in, u32 cpu);
bool dis_admit_prompt(u64 mask, u64 burst, u64 token_period, u64 latency, u32 permille,
                      u32 *out_cpu);
bool dis_admit_server(struct dis_rq *rq, const struct sched_server *except, u64 runtime,
                      u64 deadline, u64 period);

/* group.c */
enum hx_status dis_groups_init(void);
void dis_groups_fini(void);
bool dis_group_charge(struct dis_queue *q, u64 ran, u64 now);
void dis_group_unthrottle(struct dis_rq *rq, u64 now);
void dis_group_return(struct dis_queue *q);
void dis_group_spread(u64 now);

/* balance.c */
u32 dis_balance_cpu_for_wake(struct sched_ctx *ctx, u32 from_cpu, u64 now);
bool dis_balance_pull(struct dis_rq *rq, u64 now);
void dis_balance_inbox(struct dis_rq *rq, u64 now);

/* donate.c */
void dis_donate_init(void);
void dis_runner_rebind(struct dis_runner *runner, u32 cpu, u64 now);

/* optimizer.c */
void dis_opt_wake(struct sched_ctx *ctx, u64 now);
void dis_opt_block(struct sched_ctx *ctx, u64 now);

#endif
