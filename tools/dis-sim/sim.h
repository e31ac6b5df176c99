/* SPDX-License-Identifier: MIT */
/* A discrete-event simulator around the kernel's own scheduler: the C files of subsystems/dis,
 * with virtual CPUs, a virtual clock and programs that are callbacks. One process simulates one
 * machine; everything is deterministic in the seed. Times are ns.
 */
#ifndef DIS_SIM_SIM_H
#define DIS_SIM_SIM_H

#include <dis/dis.h>
#include <dis/donate.h>
#include <dis/group.h>
#include <dis/optimizer.h>
#include <dis/policy.h>
#include <dis/stats.h>

enum sim_step_kind {
    SIM_RUN,   /* use `ns` of CPU time */
    SIM_SLEEP, /* block until time `ns` */
    SIM_BLOCK, /* block until sim_wake() */
    SIM_YIELD,
    SIM_GO_ON, /* nothing; ask again (after a lock that was free) */
    SIM_EXIT
};

struct sim_step {
    enum sim_step_kind kind;
    u64 ns;
};

struct sim_task;
typedef struct sim_step sim_program(struct sim_task *task);

struct sim_task {
    struct sched_ctx ctx;
    struct dis_runner runner;
    sim_program *program; /* asked for the next step whenever one is done */
    void *arg;
    char name[24];
    u64 remaining; /* of the present SIM_RUN */
    u64 vars[8];   /* the program's own */
    struct sim_task *next;
    bool alive, blocked, woken;
};

struct sim_mutex {
    struct sim_task *owner;
    struct sim_task *waiters[64];
    u32 nr;
};

struct sim_options {
    struct dis_config config;
    const struct sched_policy_ops *policy; /* NULL: fair */
    u64 switch_cost, irq_cost; /* time that a switch or a timer interrupt takes from a program */
    u64 housekeep;             /* period of dis_housekeep(); 0: never */
    u64 ipi_delay;             /* a kick of another CPU arrives so much later */
    u32 check_every;           /* full invariant check every so many events; 0: never */
    bool trace;                /* keep events for sim_trace_write() */
};

struct sim_counts {
    u64 events, switches, checks;
    u64 by_event[DIS_EVENT_COUNT];
    u64 hash; /* of all events in order */
};

/* Called for each traced event, before it is counted. */
typedef void sim_observer(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg);

void sim_init(const struct sim_options *options);
void sim_fini(void);
u64 sim_now(void);
void sim_observe(sim_observer *observer);
const struct sim_counts *sim_counts(void);

/* A task in `group` (NULL: root), asleep until `start`. Owned by the simulator. */
struct sim_task *sim_task_create(const char *name, sim_program *program, void *arg,
                                 struct dis_group *group, u64 start);
enum hx_status sim_task_intent(struct sim_task *task, const struct hx_intent *intent,
                               struct hx_intent_result *result);
struct sim_task *sim_tasks(void);

void sim_wake(struct sim_task *task);
bool sim_mutex_lock(struct sim_mutex *mutex, struct sim_task *task); /* false: SIM_BLOCK now */
void sim_mutex_unlock(struct sim_mutex *mutex, struct sim_task *task);
struct sim_task *sim_running(u32 cpu);

/* Runs `fn` at time `at`, outside of any task. */
void sim_call_at(u64 at, void (*fn)(void *arg), void *arg);

/* Until time `until`. Stops the process with a message and the seed when an invariant breaks. */
void sim_run(u64 until);
/* Charges and settles so that accounts are exact at sim_now(). */
void sim_settle(void);

u64 sim_random(void);        /* xorshift64* */
u64 sim_random_below(u64 n); /* 0..n-1 */
void sim_seed(u64 seed);

/* Checks everything that is always true. Stops the process with a message if it is not. */
void sim_check(void);

/* trace.c */
void sim_trace_add(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg);
void sim_trace_reset(void);
bool sim_trace_write_perfetto(const char *path);
bool sim_trace_write_svg(const char *path, u64 from, u64 to);

/* Ready-made programs. Periodic: vars[0] period, [1] run, [2] first release, [3] jitter,
 * [4] run longer by permille. */
sim_program sim_program_periodic, sim_program_hog, sim_program_yielder;

#endif
