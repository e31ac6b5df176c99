/* SPDX-License-Identifier: MIT */
/* The simulator's engine, and the port that DIS runs on.
 * Owns:      the virtual machine: clock, CPUs, event heap, tasks.   Context: one host thread.
 * Order:     at one instant, ends of runs come first (a job that ends at its budget's last ns has
 *            not overrun), then wake-ups, then timers, then kicks. The order is part of the
 *            trace's meaning and never depends on addresses.
 * Locks:     are flags that assert: taken twice, or freed when not held, stops the run.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dis_priv.h"
#include "sim.h"

struct event {
    u64 time, seq;
    struct sim_task *task;
    void (*fn)(void *arg);
    void *arg;
};

struct cpu {
    struct sim_task *running; /* the runner, which may run on another's context */
    struct sched_ctx *ctx;
    u64 run_start; /* progress begins here */
    u64 timer_at, kick_at;
    u64 next; /* earliest of run end, timer and kick */
};

static struct {
    struct sim_options options;
    u64 now, seq, seed;
    struct event *heap;
    u32 heap_nr, heap_room;
    struct cpu cpus[SCHED_CPUS_MAX];
    u32 this_cpu, locks;
    struct sim_task *tasks;
    struct sim_counts counts;
    sim_observer *observer;
    u64 random;
    u64 bytes; /* allocated by DIS */
} sim;

void hx_assert_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "dis-sim: %s:%d: %s is false (seed %" PRIu64 ", t %" PRIu64 " ns)\n", file,
            line, expr, sim.seed, sim.now);
    abort();
}

#define SIM_CHECK(expr) HX_ASSERT(expr)

/* ---- random ---- */

void sim_seed(u64 seed)
{
    sim.seed = seed;
    sim.random = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
    if (sim.random == 0) {
        sim.random = 1;
    }
    for (int i = 0; i < 8; i++) {
        sim_random();
    }
}

u64 sim_random(void)
{
    sim.random ^= sim.random >> 12;
    sim.random ^= sim.random << 25;
    sim.random ^= sim.random >> 27;
    return sim.random * 0x2545f4914f6cdd1dull;
}

u64 sim_random_below(u64 n)
{
    return (u64)(((u128)sim_random() * n) >> 64);
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
    SIM_CHECK(lock->word[0] == 0);
    lock->word[0] = 1;
    sim.locks++;
}

void dis_port_unlock(struct dis_lock *lock)
{
    SIM_CHECK(lock->word[0] == 1);
    lock->word[0] = 0;
    sim.locks--;
}

bool dis_port_lock_try(struct dis_lock *lock)
{
    if (lock->word[0] != 0) {
        return false;
    }
    dis_port_lock(lock);
    return true;
}

bool dis_port_lock_is_held(const struct dis_lock *lock)
{
    return lock->word[0] != 0;
}

void dis_port_mutex_lock(struct dis_mutex *mutex)
{
    SIM_CHECK(mutex->word[0] == 0 && sim.locks == 0); /* a mutex may sleep */
    mutex->word[0] = 1;
}

void dis_port_mutex_unlock(struct dis_mutex *mutex)
{
    SIM_CHECK(mutex->word[0] == 1);
    mutex->word[0] = 0;
}

u64 dis_port_now(void)
{
    return sim.now;
}

u32 dis_port_cpu(void)
{
    return sim.this_cpu;
}

static void cpu_update(struct cpu *c)
{
    u64 end = c->running == NULL ? DIS_NEVER : c->run_start + c->running->remaining;
    c->next = hx_min_u64(end, hx_min_u64(c->timer_at, c->kick_at));
}

void dis_port_timer_arm(u32 cpu, u64 at)
{
    SIM_CHECK(dis_port_lock_is_held(&dis.rq[cpu]->lock));
    SIM_CHECK(cpu == sim.this_cpu);
    sim.cpus[cpu].timer_at = hx_max_u64(at, sim.now);
    cpu_update(&sim.cpus[cpu]);
}

void dis_port_kick(u32 cpu)
{
    u64 at = sim.now + (cpu == sim.this_cpu ? 0 : sim.options.ipi_delay);
    sim.cpus[cpu].kick_at = hx_min_u64(sim.cpus[cpu].kick_at, at);
    cpu_update(&sim.cpus[cpu]);
}

void *dis_port_alloc(size_t size)
{
    void *p;
    SIM_CHECK(sim.locks == 0);
    p = calloc(1, size);
    sim.bytes += p == NULL ? 0 : size;
    return p;
}

void dis_port_free(void *p, size_t size)
{
    SIM_CHECK(sim.locks == 0);
    if (p != NULL) {
        sim.bytes -= size;
    }
    free(p);
}

void dis_port_trace(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg)
{
    u64 h = sim.counts.hash;
    h = (h ^ now) * 0x100000001b3ull;
    h = (h ^ (u64)id << 16 ^ (u64)cpu << 8 ^ (u64)event) * 0x100000001b3ull;
    h = (h ^ arg) * 0x100000001b3ull;
    sim.counts.hash = h;
    sim.counts.by_event[event]++;
    if (sim.observer != NULL) {
        sim.observer(cpu, now, event, id, arg);
    }
    if (sim.options.trace) {
        sim_trace_add(cpu, now, event, id, arg);
    }
}

/* ---- events ---- */

static bool event_before(const struct event *a, const struct event *b)
{
    return a->time != b->time ? a->time < b->time : a->seq < b->seq;
}

static void event_push(u64 time, struct sim_task *task, void (*fn)(void *), void *arg)
{
    struct event e = {time, sim.seq++, task, fn, arg};
    u32 i;
    if (sim.heap_nr == sim.heap_room) {
        sim.heap_room = sim.heap_room == 0 ? 1024 : sim.heap_room * 2;
        sim.heap = realloc(sim.heap, sim.heap_room * sizeof(*sim.heap));
        SIM_CHECK(sim.heap != NULL);
    }
    i = sim.heap_nr++;
    while (i > 0 && event_before(&e, &sim.heap[(i - 1) / 2])) {
        sim.heap[i] = sim.heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    sim.heap[i] = e;
}

static struct event event_pop(void)
{
    struct event top = sim.heap[0], e = sim.heap[--sim.heap_nr];
    u32 i = 0;
    for (;;) {
        u32 k = 2 * i + 1;
        if (k >= sim.heap_nr) {
            break;
        }
        if (k + 1 < sim.heap_nr && event_before(&sim.heap[k + 1], &sim.heap[k])) {
            k++;
        }
        if (!event_before(&sim.heap[k], &e)) {
            break;
        }
        sim.heap[i] = sim.heap[k];
        i = k;
    }
    sim.heap[i] = e;
    return top;
}

/* ---- CPUs ---- */

/* What runs on c has progressed up to now. */
static void cpu_progress(struct cpu *c)
{
    if (c->running != NULL && sim.now > c->run_start) {
        u64 done = sim.now - c->run_start;
        SIM_CHECK(done <= c->running->remaining);
        c->running->remaining -= done;
        c->run_start = sim.now;
    }
}

static void cpu_schedule(u32 cpu, enum dis_why why)
{
    struct cpu *c = &sim.cpus[cpu];
    struct dis_rq *rq = dis.rq[cpu];
    struct sched_ctx *next;
    struct sim_task *runner = NULL;

    sim.this_cpu = cpu;
    cpu_progress(c);
    c->kick_at = DIS_NEVER;
    dis_rq_lock(rq);
    next = why == DIS_WHY_YIELD ? dis_yield(rq, sim.now) : dis_schedule(rq, sim.now, why);
    dis_rq_unlock(rq);
    if (next != NULL) {
        runner = next->runner->owner;
        SIM_CHECK(next->cpu == cpu);
        SIM_CHECK(runner->alive && !runner->blocked);
        for (u32 other = 0; other < dis.config.cpus; other++) {
            struct cpu *o = &sim.cpus[other];
            if (other != cpu && o->running == runner) {
                /* Donation moved it. It leaves there before it runs here; the kick does the rest.
                 */
                SIM_CHECK(o->kick_at != DIS_NEVER);
                cpu_progress(o);
                o->running = NULL;
                cpu_update(o);
            }
        }
    }
    if (runner != c->running || next != c->ctx) {
        sim.counts.switches++;
        c->run_start = sim.now + sim.options.switch_cost;
    } else if (c->run_start < sim.now) {
        c->run_start = sim.now;
    }
    c->running = runner;
    c->ctx = next;
    cpu_update(c);
}

static void task_end(struct sim_task *task)
{
    task->alive = false;
    dis_runner_fini(&task->runner);
}

/* What runs on cpu has done its step: asks for the next until it takes time. */
static void cpu_step(u32 cpu)
{
    struct cpu *c = &sim.cpus[cpu];
    u32 steps = 0;
    sim.this_cpu = cpu;
    cpu_progress(c);
    while (c->running != NULL && c->running->remaining == 0 && c->kick_at > sim.now) {
        struct sim_task *task = c->running;
        struct sim_step step = task->program(task);
        SIM_CHECK(++steps < 100000);
        switch (step.kind) {
        case SIM_RUN:
            task->remaining = step.ns;
            break;
        case SIM_GO_ON:
            break;
        case SIM_YIELD:
            cpu_schedule(cpu, DIS_WHY_YIELD);
            break;
        case SIM_SLEEP:
        case SIM_BLOCK:
            if (step.kind == SIM_SLEEP) {
                if (step.ns <= sim.now) {
                    break;
                }
                event_push(step.ns, task, NULL, NULL);
            } else if (task->woken || task->runner.lent_to != NULL) {
                task->woken = false; /* it was woken before it slept, or it lends its context */
                if (task->runner.lent_to != NULL) {
                    task->blocked = true;
                    cpu_schedule(cpu, DIS_WHY_KICK);
                }
                break;
            }
            task->blocked = true;
            dis_runner_block(&task->runner, sim.now);
            cpu_schedule(cpu, DIS_WHY_BLOCK);
            break;
        case SIM_EXIT:
            task_end(task);
            cpu_schedule(cpu, DIS_WHY_EXIT);
            break;
        }
        if (step.kind == SIM_RUN) {
            break;
        }
    }
    cpu_update(c);
}

static void cpu_timer(u32 cpu)
{
    struct cpu *c = &sim.cpus[cpu];
    bool again;
    sim.this_cpu = cpu;
    cpu_progress(c);
    c->timer_at = DIS_NEVER;
    c->run_start += c->running == NULL ? 0 : sim.options.irq_cost;
    dis_rq_lock(dis.rq[cpu]);
    again = dis_timer(dis.rq[cpu], sim.now);
    dis_rq_unlock(dis.rq[cpu]);
    if (again) {
        cpu_schedule(cpu, DIS_WHY_KICK);
    }
    cpu_update(c);
}

void sim_wake(struct sim_task *task)
{
    if (!task->alive) {
        return;
    }
    if (!task->blocked) {
        task->woken = true;
        return;
    }
    task->blocked = false;
    dis_runner_wake(&task->runner, sim.this_cpu, sim.now);
}

static void housekeep(void *arg)
{
    (void)arg;
    dis_housekeep(sim.now);
    event_push(sim.now + sim.options.housekeep, NULL, housekeep, NULL);
}

/* ---- the loop ---- */

static u32 cpu_earliest(u64 *out_time)
{
    u32 best = 0;
    u64 time = sim.cpus[0].next;
    for (u32 cpu = 1; cpu < sim.options.config.cpus; cpu++) {
        if (sim.cpus[cpu].next < time) {
            time = sim.cpus[cpu].next;
            best = cpu;
        }
    }
    *out_time = time;
    return best;
}

void sim_run(u64 until)
{
    for (;;) {
        u64 at;
        u32 cpu = cpu_earliest(&at);
        struct cpu *c = &sim.cpus[cpu];
        bool run_ends = c->running != NULL && at == c->run_start + c->running->remaining;
        u64 event_at = sim.heap_nr == 0 ? DIS_NEVER : sim.heap[0].time;
        u64 t = hx_min_u64(at, event_at);
        if (t > until) {
            break;
        }
        SIM_CHECK(t >= sim.now);
        sim.now = t;
        sim.counts.events++;
        if (event_at < at || (event_at == at && !run_ends)) {
            struct event e = event_pop();
            if (e.task != NULL) {
                /* The interrupt arrives where the task ran last. */
                sim.this_cpu = e.task->ctx.cpu;
                cpu_progress(&sim.cpus[sim.this_cpu]);
                sim_wake(e.task);
            } else {
                e.fn(e.arg);
            }
        } else if (run_ends && c->kick_at > t) {
            cpu_step(cpu);
        } else if (c->timer_at == t) {
            cpu_timer(cpu);
        } else {
            cpu_schedule(cpu, DIS_WHY_KICK);
        }
        if (sim.options.check_every != 0 && sim.counts.events % sim.options.check_every == 0) {
            sim_check();
        }
    }
    sim.now = until;
}

void sim_settle(void)
{
    for (u32 cpu = 0; cpu < sim.options.config.cpus; cpu++) {
        dis_rq_lock(dis.rq[cpu]);
        dis_account(dis.rq[cpu], sim.now);
        dis_rq_unlock(dis.rq[cpu]);
    }
}

/* ---- tasks ---- */

struct sim_task *sim_task_create(const char *name, sim_program *program, void *arg,
                                 struct dis_group *group, u64 start)
{
    struct sim_task *task = calloc(1, sizeof(*task));
    SIM_CHECK(task != NULL);
    snprintf(task->name, sizeof(task->name), "%s", name);
    task->program = program;
    task->arg = arg;
    task->alive = true;
    task->blocked = true;
    SIM_CHECK(dis_ctx_create(&task->ctx, group, DIS_CREATE_HIST) == HX_OK);
    task->ctx.owner = task;
    dis_runner_init(&task->runner, &task->ctx, task);
    task->next = sim.tasks;
    sim.tasks = task;
    event_push(hx_max_u64(start, sim.now), task, NULL, NULL);
    return task;
}

enum hx_status sim_task_intent(struct sim_task *task, const struct hx_intent *intent,
                               struct hx_intent_result *result)
{
    static const struct dis_rights all = {
        .rt_permille = 1000, .prompt_permille = 1000, .burst_max = HX_NS_PER_SEC, .system = true};
    struct hx_intent_result ignored;
    return dis_intent_set(&task->ctx, intent, &all, result == NULL ? &ignored : result);
}

struct sim_task *sim_tasks(void)
{
    return sim.tasks;
}

struct sim_task *sim_running(u32 cpu)
{
    return sim.cpus[cpu].running;
}

bool sim_mutex_lock(struct sim_mutex *mutex, struct sim_task *task)
{
    if (mutex->owner == NULL) {
        mutex->owner = task;
        return true;
    }
    SIM_CHECK(mutex->nr < HX_ARRAY_SIZE(mutex->waiters));
    mutex->waiters[mutex->nr++] = task;
    HX_IGNORE(dis_donate_begin(&task->runner, &mutex->owner->runner),
              "without donation the waiter just waits");
    return false;
}

void sim_mutex_unlock(struct sim_mutex *mutex, struct sim_task *task)
{
    struct sim_task *heir;
    SIM_CHECK(mutex->owner == task);
    for (u32 i = 0; i < mutex->nr; i++) {
        dis_donate_end(&mutex->waiters[i]->runner);
    }
    if (mutex->nr == 0) {
        mutex->owner = NULL;
        return;
    }
    heir = mutex->waiters[0];
    mutex->nr--;
    memmove(mutex->waiters, mutex->waiters + 1, mutex->nr * sizeof(mutex->waiters[0]));
    mutex->owner = heir;
    heir->blocked = false;
    for (u32 i = 0; i < mutex->nr; i++) {
        HX_IGNORE(dis_donate_begin(&mutex->waiters[i]->runner, &heir->runner),
                  "without donation the waiter just waits");
    }
}

void sim_call_at(u64 at, void (*fn)(void *arg), void *arg)
{
    event_push(at, NULL, fn, arg);
}

u64 sim_now(void)
{
    return sim.now;
}

void sim_observe(sim_observer *observer)
{
    sim.observer = observer;
}

const struct sim_counts *sim_counts(void)
{
    return &sim.counts;
}

/* ---- checks ---- */

static u32 tree_count(const struct sched_tree_node *n)
{
    return n == NULL ? 0 : 1 + tree_count(n->child[0]) + tree_count(n->child[1]);
}

static void check_queue(struct dis_rq *rq, struct dis_queue *q)
{
    struct sched_ctx *e;
    u32 nr = 0, attached = 0, running = 0, leaves = 0;
    u64 weight = 0, load = 0;
    LIST_FOREACH (&q->runnable, e, run_node) {
        SIM_CHECK(e->queue == q);
        SIM_CHECK(e->state == SCHED_CTX_WAITING || e->state == SCHED_CTX_RUNNING);
        nr++;
        weight += e->weight;
        attached += e->gen == q->gen;
        running += e->state == SCHED_CTX_RUNNING;
        if ((e->flags & DIS_CTX_GROUP) != 0) {
            struct dis_queue *below = dis_queue_of_ent(e);
            SIM_CHECK(below->nr != 0 && !below->throttled); /* executor inv 3 */
            leaves += below->leaves;
            load += below->load;
        } else {
            SIM_CHECK(dis_ctx_find(e->id) == e && e->cpu == rq->cpu);
            leaves++;
            load += e->weight;
        }
    }
    SIM_CHECK(nr == q->nr && weight == q->weight && running <= 1); /* queue inv 1, 2, 3 */
    SIM_CHECK(list_is_empty(&rq->throttled) ? leaves == q->leaves && load == q->load : true);
    if (q->ops != &dis_policy_builtin) {
        SIM_CHECK(attached == q->attached);
        SIM_CHECK(q->ops->selfcheck == NULL || q->ops->selfcheck(q->view));
    }
    SIM_CHECK(q->min.runtime == 0 || q->parent == NULL ||
              (q->min.state != DIS_SERVER_IDLE) == (q->nr != 0 && !q->throttled));
}

void sim_check(void)
{
    sim.counts.checks++;
    for (u32 cpu = 0; cpu < sim.options.config.cpus; cpu++) {
        struct dis_rq *rq = dis.rq[cpu];
        struct dis_queue *q;
        SIM_CHECK(tree_count(rq->edf.root) == rq->stats.nr_deadline);
        SIM_CHECK(tree_count(rq->waiting.root) == rq->stats.nr_throttled);
        SIM_CHECK(rq->curr == sim.cpus[cpu].ctx);
        SIM_CHECK(rq->curr == NULL || rq->curr->state == SCHED_CTX_RUNNING);
        LIST_FOREACH (&rq->queues, q, rq_node) {
            check_queue(rq, q);
        }
    }
    for (struct sim_task *t = sim.tasks; t != NULL; t = t->next) {
        struct sched_ctx *ctx = &t->ctx;
        bool runs = dis.rq[ctx->cpu]->curr == ctx;
        SIM_CHECK((ctx->state == SCHED_CTX_RUNNING) == runs);
        /* A task that can run is on a queue, in an inbox, or lends what it has. */
        if (t->alive && !t->blocked && t->runner.lent_to == NULL &&
            ((ctx->flags & DIS_CTX_HELD) == 0 || list_is_empty(&t->runner.donors))) {
            SIM_CHECK(ctx->state == SCHED_CTX_WAITING || ctx->state == SCHED_CTX_RUNNING);
        }
        SIM_CHECK(ctx->token_ns <= ctx->token_max_ns);
        if (ctx->server.state == DIS_SERVER_READY && ctx->layer == DIS_LAYER_DEADLINE) {
            SIM_CHECK(ctx->server.budget > 0);
            SIM_CHECK(ctx->server.budget <= (s64)ctx->server.runtime);
        }
    }
}

/* ---- life ---- */

void sim_init(const struct sim_options *options)
{
    u64 random = sim.random, seed = sim.seed;
    memset(&sim, 0, sizeof(sim));
    sim.random = random;
    sim.seed = seed;
    sim.options = *options;
    sim.counts.hash = 0xcbf29ce484222325ull;
    for (u32 cpu = 0; cpu < SCHED_CPUS_MAX; cpu++) {
        sim.cpus[cpu].timer_at = sim.cpus[cpu].kick_at = sim.cpus[cpu].next = DIS_NEVER;
    }
    sim_trace_reset();
    SIM_CHECK(dis_init(&options->config,
                       options->policy == NULL ? &dis_policy_fair : options->policy) == HX_OK);
    if (options->housekeep != 0) {
        event_push(options->housekeep, NULL, housekeep, NULL);
    }
}

void sim_fini(void)
{
    /* All at rest before the first goes: one may be running on another's context. */
    for (struct sim_task *task = sim.tasks; task != NULL; task = task->next) {
        struct dis_rq *rq = dis.rq[task->ctx.cpu];
        dis_rq_lock(rq);
        HX_IGNORE(dis_ctx_unqueue(&task->ctx, rq, sim.now), "the machine stops");
        if (rq->curr == &task->ctx) {
            rq->curr = NULL;
        }
        dis_rq_unlock(rq);
    }
    while (sim.tasks != NULL) {
        struct sim_task *task = sim.tasks;
        sim.tasks = task->next;
        dis_ctx_destroy(&task->ctx);
        free(task);
    }
    dis_fini();
    SIM_CHECK(sim.bytes == 0); /* everything was given back */
    free(sim.heap);
    sim.heap = NULL;
    sim.heap_nr = sim.heap_room = 0;
}

/* ---- programs ---- */

struct sim_step sim_program_hog(struct sim_task *task)
{
    (void)task;
    return (struct sim_step){SIM_RUN, HX_NS_PER_SEC};
}

struct sim_step sim_program_yielder(struct sim_task *task)
{
    task->vars[7] ^= 1;
    return task->vars[7] != 0 ? (struct sim_step){SIM_RUN, task->vars[0]}
                              : (struct sim_step){SIM_YIELD, 0};
}

struct sim_step sim_program_periodic(struct sim_task *task)
{
    u64 *v = task->vars;
    if (v[6] == 0) { /* a job starts */
        if (v[5] == 0) {
            v[5] = hx_max_u64(v[2], sim_now());
        }
        v[6] = 1;
        return (struct sim_step){SIM_RUN, v[1] + v[1] / 1000 * v[4]};
    }
    v[6] = 0;
    v[5] += v[0] + (v[3] == 0 ? 0 : sim_random_below(v[3]));
    if (v[5] < sim_now()) { /* late: the next job starts at once */
        v[5] = sim_now();
    }
    return (struct sim_step){SIM_SLEEP, v[5]};
}
