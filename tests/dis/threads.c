/* SPDX-License-Identifier: MIT */
/* The scheduler under true concurrency: host threads are CPUs, one more thread changes policies,
 * intents, affinities, groups and CPUs meanwhile. The simulator cannot show a lock taken in the
 * wrong order or a context that two CPUs run; this can.
 * Usage: dis-threads [SECONDS]
 * Checks: a context runs on one CPU at a time; nothing is lost: at the end each is blocked or on
 * exactly one queue; lock ranks; no deadlock (the caller's time limit).
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dis_priv.h"

#define CPUS     4u
#define CONTEXTS 64u
#define NOBODY   (~0u)
#define MS       HX_NS_PER_MS

static struct {
    struct sched_ctx ctx[CONTEXTS];
    struct dis_runner runner[CONTEXTS];
    u32 runs_on[CONTEXTS]; /* a */
    u32 kick[CPUS];        /* a */
    u64 timer[CPUS];       /* own CPU */
    u32 stop;              /* a */
    u64 start, switches;   /* a */
    struct dis_group *group;
    struct dis_stats_page page;
} st;

static pthread_mutex_t admission = PTHREAD_MUTEX_INITIALIZER;
static __thread u32 this_cpu;
static __thread u32 held;
static __thread u64 random_state;

static u64 random_below(u64 n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (u64)(((u128)random_state * n) >> 64);
}

void hx_assert_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "dis-threads: %s:%d: %s is false\n", file, line, expr);
    abort();
}

/* ---- the port ---- */

void dis_port_lock_init(struct dis_lock *lock, enum dis_rank rank)
{
    (void)rank;
    memset(lock, 0, sizeof(*lock));
}

void dis_port_mutex_init(struct dis_mutex *mutex)
{
    memset(mutex, 0, sizeof(*mutex));
}

void dis_port_lock(struct dis_lock *lock)
{
    HX_ASSERT(++held <= 4);
    while (__atomic_exchange_n(&lock->word[0], 1, __ATOMIC_ACQUIRE) != 0) {
        sched_yield();
    }
}

void dis_port_unlock(struct dis_lock *lock)
{
    held--;
    HX_ASSERT(__atomic_exchange_n(&lock->word[0], 0, __ATOMIC_RELEASE) == 1);
}

bool dis_port_lock_try(struct dis_lock *lock)
{
    if (__atomic_exchange_n(&lock->word[0], 1, __ATOMIC_ACQUIRE) != 0) {
        return false;
    }
    held++;
    return true;
}

bool dis_port_lock_is_held(const struct dis_lock *lock)
{
    return __atomic_load_n(&lock->word[0], __ATOMIC_RELAXED) != 0;
}

void dis_port_mutex_lock(struct dis_mutex *mutex)
{
    (void)mutex;
    HX_ASSERT(held == 0);
    HX_ASSERT(pthread_mutex_lock(&admission) == 0);
}

void dis_port_mutex_unlock(struct dis_mutex *mutex)
{
    (void)mutex;
    HX_ASSERT(pthread_mutex_unlock(&admission) == 0);
}

u64 dis_port_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * HX_NS_PER_SEC + (u64)t.tv_nsec - st.start;
}

u32 dis_port_cpu(void)
{
    return this_cpu;
}

void dis_port_timer_arm(u32 cpu, u64 at)
{
    HX_ASSERT(cpu == this_cpu);
    st.timer[cpu] = at;
}

void dis_port_kick(u32 cpu)
{
    __atomic_store_n(&st.kick[cpu], 1, __ATOMIC_RELEASE);
}

void *dis_port_alloc(size_t size)
{
    HX_ASSERT(held == 0);
    return calloc(1, size);
}

void dis_port_free(void *p, size_t size)
{
    (void)size;
    HX_ASSERT(held == 0);
    free(p);
}

void dis_port_trace(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg)
{
    (void)cpu;
    (void)now;
    (void)event;
    (void)id;
    (void)arg;
}

/* ---- a CPU ---- */

/* The switch away from prev ends when this CPU has left it; whoever picked it up meanwhile waits
 * for that, as a kernel does. */
static struct sched_ctx *reschedule(struct dis_rq *rq, struct sched_ctx *prev, enum dis_why why)
{
    struct sched_ctx *next = dis_schedule(rq, dis_port_now(), why);
    if (next == prev) {
        return next;
    }
    if (prev != NULL) {
        HX_ASSERT(st.runs_on[prev - st.ctx] == this_cpu);
        __atomic_store_n(&st.runs_on[prev - st.ctx], NOBODY, __ATOMIC_RELEASE);
    }
    if (next != NULL) {
        u32 *on = &st.runs_on[next - st.ctx], spins = 0, nobody = NOBODY;
        while (!__atomic_compare_exchange_n(on, &nobody, this_cpu, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_RELAXED)) {
            nobody = NOBODY;
            HX_ASSERT(++spins < 1000000); /* two CPUs would run it */
            sched_yield();
        }
    }
    __atomic_fetch_add(&st.switches, 1, __ATOMIC_RELAXED);
    return next;
}

static void *cpu_main(void *arg)
{
    struct dis_rq *rq;
    struct sched_ctx *curr = NULL;
    this_cpu = (u32)(uintptr_t)arg;
    random_state = 0x9e3779b97f4a7c15ull * (this_cpu + 1);
    rq = dis_rq_of(this_cpu);
    while (__atomic_load_n(&st.stop, __ATOMIC_ACQUIRE) == 0) {
        bool kick = __atomic_exchange_n(&st.kick[this_cpu], 0, __ATOMIC_ACQ_REL) != 0;
        bool timer = dis_port_now() >= st.timer[this_cpu];
        u64 what = random_below(16);
        if (kick || timer) {
            dis_rq_lock(rq);
            if (timer) {
                st.timer[this_cpu] = DIS_NEVER;
                kick = dis_timer(rq, dis_port_now()) || kick;
            }
            if (kick) {
                curr = reschedule(rq, curr, DIS_WHY_KICK);
            }
            dis_rq_unlock(rq);
        } else if (curr != NULL && what < 3) {
            dis_rq_lock(rq);
            curr = reschedule(rq, curr, what == 0 ? DIS_WHY_BLOCK : DIS_WHY_YIELD);
            dis_rq_unlock(rq);
        } else if (what < 8) {
            struct sched_ctx *ctx = &st.ctx[random_below(CONTEXTS)];
            dis_wake(ctx, this_cpu, dis_port_now());
        } else {
            sched_yield();
        }
    }
    if (curr != NULL) {
        dis_rq_lock(rq);
        HX_ASSERT(reschedule(rq, curr, DIS_WHY_BLOCK) != curr);
        dis_rq_unlock(rq);
    }
    return NULL;
}

/* ---- the thread that changes things ---- */

static void change_intent(struct sched_ctx *ctx)
{
    static const struct dis_rights all = {
        .rt_permille = 1000, .prompt_permille = 1000, .burst_max = HX_NS_PER_SEC, .system = true};
    struct hx_intent in = {.size = sizeof(in), .cls = (u32)random_below(SCHED_CLASS_COUNT)};
    struct hx_intent_result res;
    enum hx_status status;
    if (in.cls == SCHED_CLASS_REALTIME) {
        in.period = (1 + random_below(20)) * MS;
        in.wcet = in.period / (5 + random_below(20));
    } else if (in.cls == SCHED_CLASS_INTERACTIVE) {
        in.latency = (1 + random_below(20)) * MS;
    } else {
        in.weight = 64u << random_below(8);
    }
    status = dis_intent_set(ctx, &in, &all, &res);
    HX_ASSERT(status == HX_OK || status == HX_ERR_NO_FIT);
}

static void change_something(u64 *counts)
{
    static const struct sched_policy_ops *const policies[] = {
        &dis_policy_fair, &dis_policy_round_robin, &dis_policy_fifo, &dis_policy_edf_soft};
    struct sched_ctx *ctx = &st.ctx[random_below(CONTEXTS)];
    enum hx_status status = HX_OK;
    u32 id, cpu = (u32)random_below(CPUS);
    u64 what = random_below(8);
    switch (what) {
    case 0:
        status = dis_policy_set(policies[random_below(4)]);
        HX_ASSERT(status == HX_OK || status == HX_ERR_BUSY);
        break;
    case 1:
        status = dis_affinity_set(ctx, 1 + random_below((1u << CPUS) - 1));
        HX_ASSERT(status == HX_OK || status == HX_ERR_NO_FIT || status == HX_ERR_INVALID);
        break;
    case 2:
    case 3:
        change_intent(ctx);
        break;
    case 4:
        status = dis_group_attach(ctx, random_below(2) != 0 ? st.group : NULL);
        HX_ASSERT(status == HX_OK || status == HX_ERR_INVALID);
        break;
    case 5:
        dis_housekeep(dis_port_now());
        break;
    case 6: {
        static struct dis_stats_page copy;
        dis_stats_publish(&st.page, dis_port_now());
        HX_ASSERT(dis_stats_read(&st.page, &copy) == HX_OK);
        break;
    }
    default:
        status = dis_cpu_offline(cpu, &id);
        if (status == HX_OK) {
            sched_yield();
            HX_ASSERT(dis_cpu_online(cpu) == HX_OK);
        }
        break;
    }
    counts[what] += status == HX_OK;
}

static u32 tree_count(const struct sched_tree_node *n)
{
    return n == NULL ? 0 : 1 + tree_count(n->child[0]) + tree_count(n->child[1]);
}

int main(int argc, char **argv)
{
    struct dis_config config = DIS_CONFIG_DEFAULT(CPUS);
    struct dis_group_params params = {.weight = 2048, .min_permille = 200, .max_permille = 1500};
    u64 counts[8] = {0}, seconds = argc > 1 ? strtoull(argv[1], NULL, 0) : 5, changes = 0;
    pthread_t threads[CPUS];
    u32 on_queues = 0, runnable = 0, run = 0;

    st.start = dis_port_now();
    random_state = 12345;
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        st.timer[cpu] = DIS_NEVER;
    }
    HX_ASSERT(dis_init(&config, &dis_policy_fair) == HX_OK);
    HX_ASSERT(dis_group_create(NULL, &params, &st.group) == HX_OK);
    for (u32 i = 0; i < CONTEXTS; i++) {
        st.runs_on[i] = NOBODY;
        HX_ASSERT(dis_ctx_create(&st.ctx[i], NULL, DIS_CREATE_HIST) == HX_OK);
        dis_runner_init(&st.runner[i], &st.ctx[i], NULL);
    }
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        HX_ASSERT(pthread_create(&threads[cpu], NULL, cpu_main, (void *)(uintptr_t)cpu) == 0);
    }
    this_cpu = NOBODY; /* no CPU: every change reaches every CPU from outside */
    while (dis_port_now() < seconds * HX_NS_PER_SEC) {
        change_something(counts);
        changes++;
    }
    __atomic_store_n(&st.stop, 1, __ATOMIC_RELEASE);
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        HX_ASSERT(pthread_join(threads[cpu], NULL) == 0);
    }
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        struct dis_rq *rq = dis_rq_of(cpu);
        struct dis_queue *q;
        u32 servers = 0;
        LIST_FOREACH (&rq->queues, q, rq_node) {
            struct sched_ctx *e;
            LIST_FOREACH (&q->runnable, e, run_node) {
                on_queues += (e->flags & DIS_CTX_GROUP) == 0;
            }
            servers += q->min.state != DIS_SERVER_IDLE;
            HX_ASSERT(q->ops->selfcheck == NULL || q->ops->selfcheck(q->view));
        }
        on_queues += tree_count(rq->edf.root) + tree_count(rq->waiting.root) - servers;
        on_queues += rq->inbox_nr;
    }
    for (u32 i = 0; i < CONTEXTS; i++) {
        runnable += st.ctx[i].state != SCHED_CTX_BLOCKED;
        run += st.ctx[i].acct.switches != 0;
    }
    printf("%" PRIu64 " switches, %" PRIu64 " changes (policies %" PRIu64 ", affinities %" PRIu64
           ", intents %" PRIu64 ", groups %" PRIu64 ", CPUs off line %" PRIu64
           "); %u runnable, %u on queues; %s\n",
           st.switches, changes, counts[0], counts[1], counts[2] + counts[3], counts[4], counts[7],
           runnable, on_queues,
           dis_policy_ejected() == NULL ? "no ejection" : dis_policy_ejected());
    HX_ASSERT(runnable == on_queues);
    HX_ASSERT(run == CONTEXTS && st.switches > 1000 && counts[0] != 0 && counts[7] != 0);
    HX_ASSERT(dis_policy_ejected() == NULL);
    return 0;
}
