/* SPDX-License-Identifier: MIT */
/* The scheduling context, and the contract of a scheduling policy.
 * A context is the right to use CPU time: a class, a weight or a budget, and an account. Threads
 * borrow contexts, which is what makes donation possible; the scheduler never sees a thread.
 * The kernel owns time, accounting and the set of runnable contexts. A policy only orders what it
 * is handed, by the table below; every answer it gives is checked, and a policy that answers wrong
 * is ejected to the built-in FIFO. Calls run under the run queue's lock with interrupts masked:
 * a policy neither waits, allocates, locks nor calls back.
 */
#ifndef CORE_SCHED_POLICY_H
#define CORE_SCHED_POLICY_H

#include <helix/compiler.h>
#include <helix/list.h>
#include <helix/status.h>
#include <helix/types.h>

#define SCHED_POLICY_ABI   1u
#define SCHED_CPUS_MAX     64u         /* affinity is one word */
#define SCHED_ID_NONE      0xffffffffu /* no context */
#define SCHED_WEIGHT_UNIT  1024u       /* the weight of one ordinary context */
#define SCHED_WEIGHT_MIN   16u
#define SCHED_WEIGHT_MAX   (1u << 18)
#define SCHED_INV_SHIFT    40          /* inv_weight is 2^40 * SCHED_WEIGHT_UNIT / weight */
#define SCHED_SLICE_MIN_NS 100000ull   /* 0.1 ms */
#define SCHED_SLICE_MAX_NS 10000000ull /* 10 ms */
#define SCHED_CTX_WORDS    10          /* a policy's own state in each context */
#define SCHED_QUEUE_WORDS  12          /* and in each queue */
#define SCHED_PIECES_MAX   4           /* CPUs that one real-time context may be split over */

/* What a context is for. The numbers are part of the system call ABI. */
enum sched_class {
    SCHED_CLASS_BATCH,       /* throughput by weight */
    SCHED_CLASS_INTERACTIVE, /* starts soon after a wake-up, within a budget of tokens */
    SCHED_CLASS_BACKGROUND,  /* what is left over, and a little more */
    SCHED_CLASS_SYSTEM,      /* kernel services: a server of bounded bandwidth */
    SCHED_CLASS_REALTIME,    /* admitted (period, deadline, wcet) */
    SCHED_CLASS_COUNT
};

enum sched_ctx_state {
    SCHED_CTX_BLOCKED, /* on no queue; 0 */
    SCHED_CTX_WAITING, /* runnable, not running */
    SCHED_CTX_RUNNING, /* on a CPU */
    SCHED_CTX_AWAY,    /* its runner is on another's, by a call: it must not be woken */
    SCHED_CTX_DEAD     /* destroyed; its id is free */
};

/* A node of the ordered tree in <dis/tree.h>. */
struct sched_tree_node {
    u64 parent_color; /* parent's address; bit 0: red */
    struct sched_tree_node *child[2];
    u64 key;
};

struct dis_tree {
    struct sched_tree_node *root, *first;
};

/* A constant-bandwidth server: `runtime` ns within `rel_deadline` ns of a release, releases at
 * least `period` ns apart. Ordered by absolute deadline. */
struct sched_server {
    struct sched_tree_node node; /* l; key: absolute deadline, or the time of the replenishment */
    u64 deadline;                /* l; absolute, ns */
    u64 release;                 /* l; when the present budget was granted */
    s64 budget;                  /* l; ns left; negative by at most one accounting granule */
    u64 runtime, rel_deadline, period; /* ns; 0 runtime: no server */
    u8 state;                          /* l; enum dis_server_state */
    u8 kind;                           /* I; what it serves, enum dis_server_kind */
    bool hard;                         /* a depleted budget waits for the next release */
};

/* One piece of a real-time context split over several CPUs; pieces run one after the other. */
struct sched_piece {
    u32 cpu;
    u64 runtime;      /* ns on that CPU */
    u64 rel_deadline; /* ns after the release by which this piece is done */
};

struct sched_account {
    u64 exec_ns;        /* CPU time charged */
    u64 wait_ns;        /* runnable and not running */
    u64 donated_in_ns;  /* its runner's time paid by other contexts; see <dis/donate.h> */
    u64 donated_out_ns; /* charged here while another runner ran on it */
    union {
        struct {
            u32 wakes, switches;
        };
        u64 wakes_switches; /* both, to count both at once */
    };
    u32 preempted, yields, migrations;
    u32 misses, overruns, tokens_empty;
    u64 max_tardiness_ns, last_miss_ns, last_overrun_ns;
    u64 max_wake_ns; /* below DIS_QUICK_NS only what was sampled */
};

struct dis_queue;
struct dis_group;
struct dis_hist;
struct dis_runner;

/* Marking: I set at creation; l the lock of the run queue that `cpu` names; a atomic. */
struct sched_ctx {
    /* -- what a policy may read -- */
    u32 id;         /* I; what pick() answers */
    u32 weight;     /* l; SCHED_WEIGHT_MIN..MAX */
    u64 inv_weight; /* l; see SCHED_INV_SHIFT */
    u64 slice_ns;   /* l; request size, SCHED_SLICE_MIN_NS..MAX_NS */
    s64 lag_ns;     /* l; service owed (+) or had in advance (-): written when it leaves a policy,
                     * read when it enters one. This is how fairness survives sleep, migration and
                     * the exchange of the policy. */
    u64 slept_ns;   /* l; how long it was blocked, valid with SCHED_ENQ_WAKE */
    u64 deadline;   /* l; a soft deadline for policies that want one; 0 none */
    u8 cls;         /* l; enum sched_class */
    u8 layer;       /* l; enum dis_layer it is queued in */
    union {
        struct {
            u8 state;     /* l; enum sched_ctx_state */
            u8 flags;     /* l; DIS_CTX_* */
            bool special; /* l; not just Batch of the root group: see <core/dis.h> */
            u8 zero;
        };
        u32 plain; /* all at a glance: 0, blocked and nothing else */
    };
    /* -- the policy's own, zero before the first enqueue -- */
    u64 policy[SCHED_CTX_WORDS];

    /* -- the scheduler's; a policy does not touch it -- */
    u32 cpu;                    /* a; whose run queue it is on, or was last */
    u32 gen;                    /* l; which policy generation of its queue holds it */
    struct dis_queue *queue;    /* l; the queue it competes in when it is in a fair layer */
    struct list_node run_node;  /* l; on queue->runnable while runnable there */
    struct list_node rt_node;   /* admission lock; on the list of reservations */
    struct list_node move_node; /* inbox lock of the target CPU */
    u64 affinity;               /* l; bit per CPU, never 0 */
    u64 wake_ns;                /* l; 1 + when it was woken; 0 once it has run */
    u64 stop_ns;                /* l; when it last blocked or was put back */
    u64 served_mark;            /* l; queue->served_ns when it last ran */
    struct sched_server server; /* l; Realtime: its CBS. Interactive: the present grant. */
    struct dis_group *group;    /* l; whose queues it uses */

    u64 token_ns, token_max_ns, token_stamp; /* l; Interactive */
    u64 token_period_ns;                     /* l; one token quantum is regained in this time */
    u64 latency_ns;                          /* l; Interactive: the declared target */
    u32 prompt_permille;                     /* admission lock; what it holds of a CPU */
    u64 job_deadline;                        /* l; Realtime: of the present job, for statistics */
    u64 job_budget;                          /* l; Realtime: runtime left of the present job */

    u8 pieces, piece; /* l; 0 pieces: not split */
    struct sched_piece split[SCHED_PIECES_MAX];

    u64 burst_start_ns;                  /* l; exec_ns at the last wake-up */
    u32 burst_avg, burst_dev, sleep_avg; /* l; us, integer averages of the optimizer */
    u32 opt_slice_us;                    /* l; 0: none */
    u64 opt_expiry;                      /* l; when what the optimizer set lapses */
    u64 user_slice_ns;                   /* l; what the intent asked for */

    struct dis_runner *home, *runner; /* l; who owns it, and who runs on it now */
    struct dis_hist *hist;            /* I; may be NULL */
    void *owner;                      /* I; the embedder's, not read here */
    struct sched_account acct;        /* l */
};

/* The scheduler's idea of a thread: it has a context of its own and may lend everything it runs on
 * to another runner while it waits for it. Marking: d the donation lock; r the run queue of `own`.
 * See <dis/donate.h>. */
struct dis_runner {
    struct sched_ctx *own;       /* I; NULL: lives on donations alone */
    struct dis_runner *lent_to;  /* d; whom it waits for; NULL: nobody */
    struct list_node donors;     /* d; runners that lend to this one */
    struct list_node donor_node; /* d; on lent_to->donors */
    u32 cpu;                     /* d; where it runs for donors; SCHED_ID_NONE: not yet */
    u32 height;                  /* d; longest chain of donors below it */
    bool ready;                  /* d, r; could run: not blocked on anything but donation */
    void *owner;                 /* I; the embedder's thread */
};

/* A policy's view of one queue: one per CPU and group. */
struct sched_queue {
    u32 cpu;                      /* I */
    u32 nr;                       /* contexts it holds, the running one included */
    u64 now;                      /* ns; set before every call */
    u64 state[SCHED_QUEUE_WORDS]; /* the policy's own, zero before init */
};

#define SCHED_ENQ_WAKE 1u /* it was blocked; otherwise it is new here or moved */

enum sched_put {
    SCHED_PUT_SLICE,   /* its slice is over */
    SCHED_PUT_PREEMPT, /* something else goes first; it has slice left */
    SCHED_PUT_YIELD,   /* it offers the CPU to its peers */
    SCHED_PUT_LEAVE    /* it leaves the queue: lag_ns is to be written */
};

/* Every table starts with its ABI version and its size, so that one built against another version
 * is refused, not misread. Context of all calls but init: run queue locked, interrupts
 * masked. A context is `waiting` between enqueue/put and start/dequeue, `running` after start.
 *
 *   op         waiting in   running in   may answer wrongly
 *   enqueue    becomes      -            -
 *   dequeue    leaves       -            -
 *   pick       any          maybe one    yes: checked
 *   start      becomes running           slice: clamped
 *   charge     -            stays        -
 *   put        becomes      leaves       -
 *   yield      one leaves   the other    yes: checked
 *   preempts   any          stays        harmless
 *   steal      any          -            yes: checked
 */
struct sched_policy_ops {
    u32 abi_version; /* SCHED_POLICY_ABI */
    u32 size;        /* sizeof(struct sched_policy_ops) */
    const char *name;
    /* Mandatory. Makes q->state ready. Thread context. */
    enum hx_status (*init)(struct sched_queue *q);
    /* Mandatory. ctx becomes waiting; ctx->policy is the policy's until it leaves. */
    void (*enqueue)(struct sched_queue *q, struct sched_ctx *ctx, u32 flags);
    /* Mandatory. A waiting ctx leaves; writes ctx->lag_ns (0 when the policy has no such idea). */
    void (*dequeue)(struct sched_queue *q, struct sched_ctx *ctx);
    /* Mandatory. The id of the waiting context to run next, SCHED_ID_NONE if none waits. */
    u32 (*pick)(struct sched_queue *q);
    /* Mandatory. The waiting ctx starts to run: it is what pick() answered, or what the kernel
     * chose. Answers its slice in ns, clamped to SCHED_SLICE_MIN_NS..MAX_NS. */
    u64 (*start)(struct sched_queue *q, struct sched_ctx *ctx);
    /* Mandatory. The running ctx has run ran_ns more. */
    void (*charge)(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns);
    /* Mandatory. The same, and it stops running; it waits, unless `how` is SCHED_PUT_LEAVE. */
    void (*put)(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, enum sched_put how);
    /* Optional; absent: put, pick and start, a good deal slower. The running ctx has run ran_ns
     * more and offers the CPU to its peers: answers the id of what runs now, which was waiting or
     * is ctx itself, and its slice. */
    u32 (*yield)(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, u64 *out_slice);
    /* Optional; absent: no. Should the waiting `woken` run before the running one? */
    bool (*preempts)(struct sched_queue *q, struct sched_ctx *running, struct sched_ctx *woken);
    /* Optional; absent: the kernel chooses. The id of a waiting context to give to another CPU. */
    u32 (*steal)(struct sched_queue *q, u32 to_cpu);
    /* Optional; absent: true. Are the policy's own invariants intact? O(n); tests and debug. */
    bool (*selfcheck)(struct sched_queue *q);
};

/* Policies that can be chosen by name are a linker set. */
#define SCHED_POLICY(ops) HX_SET_ADD(sched_policies, ops)
HX_SET_DECLARE(sched_policies, struct sched_policy_ops);

/* Weighted time: ran ns of CPU are worth this much virtual time to a context of that weight. */
static inline u64 sched_virtual_ns(const struct sched_ctx *ctx, u64 ran_ns)
{
    return (u64)(((u128)ran_ns * ctx->inv_weight) >> SCHED_INV_SHIFT);
}

_Static_assert((1ull << SCHED_INV_SHIFT) * SCHED_WEIGHT_UNIT / SCHED_WEIGHT_MAX > 1u << 30,
               "the reciprocal of the largest weight keeps 30 bits");

#endif
