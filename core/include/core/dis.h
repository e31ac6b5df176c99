/* SPDX-License-Identifier: MIT */
/* The intent scheduler, as the mechanism in core/sched sees it: declared here, defined in
 * subsystems/dis. It chooses among contexts; blocking, waking and switching tasks is the core's.
 */
#ifndef CORE_DIS_H
#define CORE_DIS_H

#include <core/sched_policy.h>

/* In the order in which they go first. The deadline and the prompt layer share one queue ordered
 * by deadline, so that one admission test covers both. */
enum dis_layer {
    DIS_LAYER_STOP,     /* kernel-internal, bounded work */
    DIS_LAYER_DEADLINE, /* Realtime, and bandwidth servers of groups */
    DIS_LAYER_PROMPT,   /* Interactive with tokens */
    DIS_LAYER_FAIR,     /* Batch, System, Interactive otherwise */
    DIS_LAYER_IDLE,     /* Background */
    DIS_LAYER_NONE,
    DIS_LAYER_COUNT
};

/* A spin lock that also masks interrupts while held; in the kernel its first words are a struct
 * spinlock, which the core takes with interrupts masked by itself. */
struct dis_lock {
    u64 word[4];
};

#define DIS_NEVER (~0ull)

struct dis_rq_stats {
    u64 switches[DIS_LAYER_COUNT]; /* by layer switched to; NONE: to idle */
    u64 busy_ns[DIS_LAYER_COUNT];  /* by layer; NONE: idle */
    u64 steals, kicks, timers;
    u32 nr_running, nr_deadline, nr_throttled, reserved;
};

enum dis_calm {
    DIS_CALM_NOT,
    DIS_CALM,       /* all queues are empty: there is nothing but curr and next */
    DIS_CALM_SINGLE /* and there is no other CPU to wake on */
};

/* One CPU's run queue. Marking: l its lock; I fixed at creation; a atomic. What the short paths at
 * the end of this header use stands first; the rest is for subsystems/dis alone. */
struct dis_rq {
    struct dis_lock lock;
    struct sched_ctx *curr; /* l; NULL: idle */
    struct sched_ctx *next; /* l; calm only: woken, goes next; NULL: none */
    u64 next_ns;            /* l; when it was woken */
    u64 exec_start;         /* l; charged up to here */
    u64 timer_at;           /* l; armed for; DIS_NEVER: not */
    u64 calm_start;         /* l; since when busy time is not yet in stats */
    u32 quick_switches;     /* l; as above */
    u32 cpu;                /* I */
    u8 calm;                /* l; enum dis_calm */
    bool single;            /* I; there is no other CPU */

    bool online;                   /* l */
    bool quiet;                    /* l; yields may take the short path */
    bool bg_boost;                 /* l; the current stint is the Background guard's */
    u32 policy_gen;                /* l; the generation its queues are at */
    struct dis_tree edf;           /* l; servers ready to run, by deadline */
    struct dis_tree waiting;       /* l; servers throttled, by time of replenishment */
    struct dis_queue *root, *idle; /* I; fair layers */
    u64 slice_ns;                  /* l; what the policy gave the current context */
    u64 slice_end;                 /* l; DIS_NEVER: no slice needed */
    u64 bg_due;                    /* l; when Background's guard acts */
    s64 bg_left;                   /* l; ns of the present guard stint */
    struct list_node queues;       /* l; every queue of this CPU */
    struct list_node throttled;    /* l; queues out of `max` */
    u64 throttled_until;           /* l */
    struct dis_lock inbox_lock;
    struct list_node inbox;    /* inbox lock; contexts that move here */
    u32 inbox_nr;              /* a */
    bool inbox_open;           /* inbox lock; the CPU is on line */
    struct dis_rq_stats stats; /* l */
};

enum dis_why {
    DIS_WHY_KICK, /* kicked, or the timer said so */
    DIS_WHY_YIELD,
    DIS_WHY_BLOCK,
    DIS_WHY_EXIT
};

struct dis_rq *dis_rq_of(u32 cpu);

/* Ends the stint of the current context for the reason given and answers the next (NULL: idle),
 * with the timer armed. Context: rq is this CPU's, and locked. */
struct sched_ctx *dis_schedule(struct dis_rq *rq, u64 now, enum dis_why why) HX_MUST_CHECK;

/* The same for a yield: DIS_WHY_YIELD. */
struct sched_ctx *dis_yield(struct dis_rq *rq, u64 now) HX_MUST_CHECK;

/* The timer of rq's CPU fired. Return: true, call dis_schedule(DIS_WHY_KICK).
 * Context: rq is this CPU's, and locked. */
bool dis_timer(struct dis_rq *rq, u64 now);

/* Charges the current context up to now, so that its account can be read. Context: rq locked. */
void dis_account(struct dis_rq *rq, u64 now);

/* A wake-up in two halves, for who holds the run queue of a blocked ctx: where should it run next,
 * when the waker runs on from_cpu; and, with that CPU's queue locked and ctx->cpu saying so, it
 * becomes runnable there. */
u32 dis_wake_cpu(struct sched_ctx *ctx, u32 from_cpu, u64 now);
void dis_wake_here(struct dis_rq *rq, struct sched_ctx *ctx, u32 from_cpu, u64 now);

/* A task that lends or serves blocks and wakes under the donation lock, which is taken before run
 * queues' (with interrupts masked by the caller). dis_ctx_is_plain() says under the run queue's
 * lock that it does neither. */
#define DIS_CTX_MOVING 8u   /* on its way to another CPU */
#define DIS_CTX_HELD   16u  /* its runner is blocked or busy elsewhere */
#define DIS_CTX_LENT   64u  /* another runner than its own runs on it */
#define DIS_CTX_BOUND  128u /* its runner has donors, and they are on this CPU */
#define DIS_CTX_BUSY   (DIS_CTX_MOVING | DIS_CTX_HELD | DIS_CTX_LENT | DIS_CTX_BOUND)

static inline bool dis_ctx_is_plain(const struct sched_ctx *ctx)
{
    return (ctx->flags & (DIS_CTX_HELD | DIS_CTX_LENT | DIS_CTX_BOUND)) == 0;
}

void dis_donation_lock(void);
void dis_donation_unlock(void);
void dis_runner_block_locked(struct dis_runner *runner, u64 now);
void dis_runner_wake_locked(struct dis_runner *runner, u32 from_cpu, u64 now);

enum hx_status dis_donate_begin_locked(struct dis_runner *from,
                                       struct dis_runner *to) HX_MUST_CHECK;
void dis_donate_end_locked(struct dis_runner *from, bool ready); /* ready: and it goes on */

/* `runner` has ctx for its own from now on, which no other runner has. Run queue of both locked, as
 * is the donation lock; dis_runner_refresh_locked() is to follow, without the run queue. */
void dis_runner_own(struct dis_runner *runner, struct sched_ctx *ctx);
void dis_runner_refresh_locked(struct dis_runner *runner, u64 now);

/* See <dis/dis.h> and <dis/donate.h>. */
enum hx_status dis_ctx_create(struct sched_ctx *ctx, struct dis_group *group,
                              u32 flags) HX_MUST_CHECK;
void dis_ctx_destroy(struct sched_ctx *ctx);
void dis_runner_init(struct dis_runner *runner, struct sched_ctx *own, void *owner);
void dis_runner_fini(struct dis_runner *runner);
enum hx_status dis_donate_begin(struct dis_runner *from, struct dis_runner *to) HX_MUST_CHECK;
void dis_donate_end(struct dis_runner *from);
enum hx_status dis_affinity_set(struct sched_ctx *ctx, u64 mask) HX_MUST_CHECK;
enum hx_status dis_cpu_online(u32 cpu) HX_MUST_CHECK;

/* Short paths. Most wake-ups and blocks happen where nothing else wants the CPU: what is woken runs
 * as soon as the waker blocks. With at most two contexts there is nothing to order, so neither is
 * put in a queue; dis_rq_settle() does so when there is more, as if it had been done at once. */

#define DIS_QUICK_NS    50000ull /* a waker that runs on for longer than this is charged for it */
#define DIS_LEARN_EVERY 16u      /* of so many quick wake-ups the optimizer looks at one */

/* It waited from woken_ns until now for whoever blocks now. */
void dis_learn(struct sched_ctx *ctx, u64 woken_ns, u64 now);

/* A blocked ctx of rq, which is calm, becomes runnable. Return: false, nothing is done:
 * dis_wake_here(). The caller kicks rq's CPU when it is idle. Context: rq locked. */
static inline bool dis_wake_quick(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    const struct sched_ctx *curr = rq->curr;
    if (rq->next || ctx->plain != 0) {
        return false;
    }
    /* The timer that ends the current slice is armed, and it has no claim to run at once. */
    if (curr && (rq->timer_at - now > SCHED_SLICE_MAX_NS || ctx->slice_ns < curr->slice_ns)) {
        return false;
    }
    ctx->state = SCHED_CTX_WAITING;
    rq->next = ctx;
    rq->next_ns = now;
    return true;
}

/* rq->next, which has waited for so long, runs from now on. */
static inline struct sched_ctx *dis_start_next(struct dis_rq *rq, struct sched_ctx *next,
                                               u64 waited, u64 now)
{
    rq->curr = next;
    rq->next = NULL;
    rq->exec_start = now;
    rq->quick_switches++;
    next->state = SCHED_CTX_RUNNING;
    next->layer = DIS_LAYER_FAIR;
    next->lag_ns = 0; /* alone, it has what is due to it */
    next->acct.wait_ns += waited;
    u64 count = next->acct.wakes_switches += 1ull << 32 | 1;
    if (hx_unlikely(count % DIS_LEARN_EVERY == 0)) {
        dis_learn(next, rq->next_ns, now);
    }
    next->burst_start_ns = next->acct.exec_ns;
    return next;
}

/* ctx, the current one, blocks and the one that it has woken goes on, which is answered. NULL:
 * nothing is done: dis_schedule(). Context: rq is this CPU's, locked, and has not been kicked. */
static inline struct sched_ctx *dis_block_quick(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    struct sched_ctx *next = rq->next;
    u64 shared = now - rq->next_ns;
    if (!next || shared > DIS_QUICK_NS) {
        return NULL;
    }
    ctx->acct.exec_ns += now - rq->exec_start;
    ctx->state = SCHED_CTX_BLOCKED;
    ctx->stop_ns = now;
    ctx->lag_ns = -(s64)(shared / 2);
    return dis_start_next(rq, next, shared, now);
}

#endif
