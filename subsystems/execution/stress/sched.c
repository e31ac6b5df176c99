/* SPDX-License-Identifier: MIT */
/* stress sched: tasks, waiting and waking.
 * Owns:      the stations (objects that all workers fight over), the servers (a task bound to each
 *            CPU, which answers questions in order), and the counts of both sides.
 * Context:   the workers' tasks; timer callbacks in IRQ context.
 * What is checked: mutual exclusion, by data that is only right if it holds; that every token,
 *            message, wake-up, timer, child and cross-CPU call is there once, by counting at both
 *            ends; first in first out where it is promised; no end of a wait before its deadline;
 *            a confined task on its CPU. A wake-up that is lost is a worker that hangs.
 */
#include <core/cpu.h>
#include <core/grace.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/sync.h>
#include <core/time.h>
#include <execution/stress.h>
#include <helix/format.h>
#include <helix/string.h>

#define STATIONS 16
#define PERMITS  3
#define RING     4
#define WAIT_NS  (2 * HX_NS_PER_MS) /* of waits that may end without what they wait for */

/* Marking: m mutex; r ring_mutex; w lock, held for writing; a atomic. */
struct station {
    struct mutex mutex;
    u64 guarded;              /* m */
    u32 inside;               /* m */
    u64 entered;              /* a */
    struct semaphore permits; /* PERMITS at rest */
    u32 permitted;            /* a */
    struct semaphore tokens;
    u64 made, taken;    /* a */
    struct event baton; /* auto-reset */
    u64 set, got;       /* a */
    struct mutex ring_mutex;
    struct condition not_full, not_empty;
    u64 ring[RING];    /* r */
    u64 written, read; /* r */
    struct rwlock lock;
    u64 left, right; /* w: the same number */
    u32 readers;     /* a */
    bool writer;     /* a */
};

struct question {
    struct list_node node;
    u64 number, asked, answer;
    bool last;         /* the server is to end */
    struct event done; /* auto-reset */
};

struct server {
    struct stress_run *run;
    struct task *task;
    cpu_id_t cpu;
    struct spinlock lock;
    struct list_node questions; /* l */
    u64 numbers;                /* l: questions so far */
    struct semaphore pending;
    u64 served;
    struct question end;
};

/* What a worker has for itself. */
struct own {
    struct question question;
    struct timer timer;
    struct event expired; /* auto-reset */
    u32 fired;            /* a */
    struct grace_callback grace;
    struct event graced;
    u32 child_kind;
    u32 called; /* a: CPUs that ran a cross-CPU call */
    bool ready;
};

static struct {
    struct station stations[STATIONS];
    struct server servers[HAL_CPUS_MAX];
    u64 children_started, children_joined;              /* a */
    u64 asked;                                          /* a */
    u64 timers_started, timers_fired, timers_cancelled; /* a */
} arena;

static struct station *any_station(struct stress_worker *w)
{
    return &arena.stations[stress_below(w, STATIONS)];
}

static u64 soon(struct stress_worker *w)
{
    return time_now_ns() + stress_below(w, WAIT_NS);
}

/* Counts what a deadline ended; true for success. Any other status is lost. */
static bool succeeded(struct stress_worker *w, enum hx_status status, const char *what)
{
    if (status == HX_ERR_TIMED_OUT || status == HX_ERR_NO_MEMORY) {
        stress_count(&w->run->failed);
    } else if (status != HX_OK) {
        stress_lost(w->run, "%s: %s", what, hx_status_name(status));
    }
    return status == HX_OK;
}

/* operations */

static void do_yield(struct stress_worker *w)
{
    (void)w;
    task_yield();
}

static void do_sleep(struct stress_worker *w)
{
    u64 deadline = time_now_ns() + stress_below(w, 200 * HX_NS_PER_US);
    enum hx_status status = task_sleep_until(deadline);
    if (succeeded(w, status, "sleep") && time_now_ns() < deadline) {
        stress_lost(w->run, "a sleep ended early");
    }
}

static void do_mutex(struct stress_worker *w)
{
    struct station *s = any_station(w);
    u32 how = stress_below(w, 4);
    if (how == 0) {
        if (!mutex_acquire_try(&s->mutex)) {
            return;
        }
    } else if (how == 1) {
        if (!succeeded(w, mutex_acquire_until(&s->mutex, soon(w)), "mutex")) {
            return;
        }
    } else {
        mutex_acquire(&s->mutex);
    }
    if (s->inside++ != 0) {
        stress_lost(w->run, "two tasks hold one mutex");
    }
    u64 before = s->guarded;
    if (how == 3) {
        task_yield();
    }
    if (mutex_acquire_until(&s->mutex, 0) != HX_ERR_DEADLOCK) {
        stress_lost(w->run, "a mutex was given to its owner again");
    }
    s->guarded = before + 1;
    s->inside--;
    stress_count(&s->entered);
    mutex_release(&s->mutex);
}

static void do_permits(struct stress_worker *w)
{
    struct station *s = any_station(w);
    if (!succeeded(w, semaphore_down(&s->permits, soon(w)), "semaphore")) {
        return;
    }
    if (__atomic_fetch_add(&s->permitted, 1, __ATOMIC_ACQ_REL) >= PERMITS) {
        stress_lost(w->run, "more are inside than a semaphore lets in");
    }
    if (stress_below(w, 4) == 0) {
        task_yield();
    }
    __atomic_fetch_sub(&s->permitted, 1, __ATOMIC_ACQ_REL);
    semaphore_up(&s->permits);
}

static void do_tokens(struct stress_worker *w)
{
    struct station *s = any_station(w);
    if (stress_below(w, 2)) {
        stress_count(&s->made);
        semaphore_up(&s->tokens);
    } else if (succeeded(w, semaphore_down(&s->tokens, soon(w)), "token")) {
        stress_count(&s->taken);
    }
}

static void do_baton(struct stress_worker *w)
{
    struct station *s = any_station(w);
    if (stress_below(w, 2)) {
        stress_count(&s->set);
        event_set(&s->baton);
    } else if (succeeded(w, event_wait(&s->baton, soon(w)), "event")) {
        stress_count(&s->got);
    }
}

/* A message into the ring or out of it; numbers must come out as they went in. */
static void do_ring(struct stress_worker *w)
{
    struct station *s = any_station(w);
    bool put = stress_below(w, 2);
    u64 deadline = soon(w);
    enum hx_status status = HX_OK;
    mutex_acquire(&s->ring_mutex);
    while (status == HX_OK && (put ? s->written - s->read == RING : s->written == s->read)) {
        status = condition_wait(put ? &s->not_full : &s->not_empty, &s->ring_mutex, deadline);
        if (!mutex_is_held(&s->ring_mutex)) {
            stress_lost(w->run, "a condition came back without its mutex");
        }
    }
    if (status == HX_OK && put) {
        s->ring[s->written % RING] = s->written;
        s->written++;
        condition_signal(&s->not_empty);
    } else if (status == HX_OK) {
        if (s->ring[s->read % RING] != s->read) {
            stress_lost(w->run, "message %lu came as %lu", s->read, s->ring[s->read % RING]);
        }
        s->read++;
        condition_signal(&s->not_full);
    }
    mutex_release(&s->ring_mutex);
    succeeded(w, status, "condition");
}

static void do_read(struct stress_worker *w)
{
    struct station *s = any_station(w);
    if (!succeeded(w, rwlock_read_acquire(&s->lock, soon(w)), "read lock")) {
        return;
    }
    __atomic_fetch_add(&s->readers, 1, __ATOMIC_ACQ_REL);
    u64 left = s->left;
    if (stress_below(w, 4) == 0) {
        task_yield();
    }
    if (__atomic_load_n(&s->writer, __ATOMIC_ACQUIRE) || s->right != left) {
        stress_lost(w->run, "a writer beside a reader");
    }
    __atomic_fetch_sub(&s->readers, 1, __ATOMIC_ACQ_REL);
    rwlock_read_release(&s->lock);
}

static void do_write(struct stress_worker *w)
{
    struct station *s = any_station(w);
    if (!succeeded(w, rwlock_write_acquire(&s->lock, soon(w)), "write lock")) {
        return;
    }
    if (__atomic_exchange_n(&s->writer, true, __ATOMIC_ACQ_REL) ||
        __atomic_load_n(&s->readers, __ATOMIC_ACQUIRE) != 0) {
        stress_lost(w->run, "a writer is not alone");
    }
    s->left++;
    if (stress_below(w, 4) == 0) {
        task_yield();
    }
    s->right++;
    __atomic_store_n(&s->writer, false, __ATOMIC_RELEASE);
    rwlock_write_release(&s->lock);
}

static void ask(struct server *server, struct question *q)
{
    u64 irqs = spin_lock_irq(&server->lock);
    q->number = server->numbers++;
    list_add_tail(&server->questions, &q->node);
    spin_unlock_irq(&server->lock, irqs);
    semaphore_up(&server->pending);
}

static struct server *any_server(struct stress_worker *w)
{
    u32 skip = stress_below(w, cpu_online_count());
    u64 mask = cpu_online_mask();
    while (skip-- > 0) {
        mask &= mask - 1;
    }
    return &arena.servers[__builtin_ctzll(mask)];
}

/* A round trip to a task on a certain CPU. */
static void do_ask(struct stress_worker *w)
{
    struct question *q = &((struct own *)w->own)->question;
    q->asked = stress_random(&w->random);
    q->answer = q->asked;
    stress_count(&arena.asked);
    ask(any_server(w), q);
    if (succeeded(w, event_wait(&q->done, WAIT_FOREVER), "answer") && q->answer != ~q->asked) {
        stress_lost(w->run, "a wrong answer, or none");
    }
}

static void child_main(void *arg)
{
    struct own *own = arg;
    struct event never;
    event_init(&never, false, false);
    switch (own->child_kind) {
    case 0:
        task_exit(own->child_kind + 1000);
    case 1:
        task_exit(event_wait(&never, WAIT_FOREVER));
    case 2:
        task_exit(task_sleep_until(time_now_ns() + 1000 * HX_NS_PER_SEC));
    default:
        task_yield();
    }
}

/* A child that ends by itself, or is killed while it waits or sleeps, perhaps before it does. */
static void do_child(struct stress_worker *w)
{
    struct own *own = w->own;
    static const s64 values[] = {1000, HX_ERR_CANCELLED, HX_ERR_CANCELLED, 0};
    struct task *child;
    own->child_kind = stress_below(w, HX_ARRAY_SIZE(values));
    if (!succeeded(w, task_create("stress child", child_main, own, &child), "task_create")) {
        return;
    }
    stress_count(&arena.children_started);
    task_start(child);
    if (stress_below(w, 2)) {
        task_yield();
    }
    if (own->child_kind == 1 || own->child_kind == 2) {
        task_kill(child);
    }
    s64 value = 1;
    if (succeeded(w, task_join(child, WAIT_FOREVER, &value), "join")) {
        stress_count(&arena.children_joined);
        if (value != values[own->child_kind]) {
            stress_lost(w->run, "a child of kind %u ended with %ld", own->child_kind, value);
        }
    }
    task_put(child);
}

static cpu_id_t where_am_i(void)
{
    preempt_disable();
    cpu_id_t cpu = hal_cpu_number();
    preempt_enable();
    return cpu;
}

static void do_move(struct stress_worker *w)
{
    cpu_id_t cpu = any_server(w)->cpu;
    if (succeeded(w, sched_affinity_set(w->task, 1ull << cpu), "affinity") && where_am_i() != cpu) {
        stress_lost(w->run, "confined to CPU %u, found on another", cpu);
    }
    task_yield();
    if (where_am_i() != cpu) {
        stress_lost(w->run, "confined to CPU %u, moved away", cpu);
    }
    succeeded(w, sched_affinity_set(w->task, ~0ull), "affinity");
}

static void timer_fired(struct timer *timer)
{
    struct own *own = HX_CONTAINER_OF(timer, struct own, timer);
    stress_count(&arena.timers_fired);
    __atomic_fetch_add(&own->fired, 1, __ATOMIC_RELEASE);
    event_set(&own->expired);
}

static void do_timer(struct stress_worker *w)
{
    struct own *own = w->own;
    __atomic_store_n(&own->fired, 0, __ATOMIC_RELAXED);
    event_reset(&own->expired);
    stress_count(&arena.timers_started);
    timer_start(&own->timer, time_now_ns() + stress_below(w, 100 * HX_NS_PER_US));
    bool cancelled = false;
    if (stress_below(w, 2)) {
        if (stress_below(w, 2)) {
            task_yield();
        }
        cancelled = timer_cancel(&own->timer);
    } else {
        succeeded(w, event_wait(&own->expired, WAIT_FOREVER), "timer");
    }
    if (cancelled) {
        stress_count(&arena.timers_cancelled);
    }
    if (__atomic_load_n(&own->fired, __ATOMIC_ACQUIRE) != !cancelled) {
        stress_lost(w->run, "a timer fired %u times, cancelled %u", own->fired, cancelled);
    }
    timer_cancel(&own->timer); /* its callback has left: the memory is ours again */
}

static void called(void *arg)
{
    __atomic_fetch_add(&((struct own *)arg)->called, 1, __ATOMIC_RELAXED);
}

static void grace_over(struct grace_callback *callback)
{
    event_set(&HX_CONTAINER_OF(callback, struct own, grace)->graced);
}

/* What takes every CPU, and therefore comes seldom. */
static void do_everywhere(struct stress_worker *w)
{
    struct own *own = w->own;
    if (stress_below(w, 8) != 0) {
        task_yield();
    } else if (stress_below(w, 2)) {
        own->called = 0;
        cpu_call(cpu_online_mask(), called, own);
        if (own->called != cpu_online_count()) {
            stress_lost(w->run, "a call ran on %u CPUs", own->called);
        }
    } else {
        grace_call(&own->grace, grace_over);
        succeeded(w, event_wait(&own->graced, WAIT_FOREVER), "grace period");
    }
}

static void do_one(struct stress_worker *w)
{
    static const struct {
        const char *name;
        void (*run)(struct stress_worker *w);
    } operations[] = {{"yield", do_yield},    {"sleep", do_sleep},        {"mutex", do_mutex},
                      {"mutex", do_mutex},    {"semaphore", do_permits},  {"token", do_tokens},
                      {"event", do_baton},    {"condition", do_ring},     {"condition", do_ring},
                      {"read lock", do_read}, {"read lock", do_read},     {"write lock", do_write},
                      {"question", do_ask},   {"child", do_child},        {"affinity", do_move},
                      {"timer", do_timer},    {"all CPUs", do_everywhere}};
    struct own *own = w->own;
    if (!own->ready) {
        own->ready = true;
        own->timer.expired = timer_fired;
        event_init(&own->expired, false, true);
        event_init(&own->graced, false, true);
        event_init(&own->question.done, false, true);
    }
    u32 choice = stress_below(w, HX_ARRAY_SIZE(operations));
    HX_WRITE_ONCE(w->doing, operations[choice].name);
    operations[choice].run(w);
}

/* servers */

static void server_main(void *arg)
{
    struct server *server = arg;
    for (bool last = false; !last;) {
        if (semaphore_down(&server->pending, WAIT_FOREVER) != HX_OK) {
            stress_lost(server->run, "a server was woken for nothing");
            continue;
        }
        u64 irqs = spin_lock_irq(&server->lock);
        struct question *q = LIST_FIRST(&server->questions, struct question, node);
        if (q) {
            list_remove(&q->node);
        }
        spin_unlock_irq(&server->lock, irqs);
        if (!q || q->number != server->served++) {
            stress_lost(server->run, "a server's questions are out of order");
            return;
        }
        if (where_am_i() != server->cpu) {
            stress_lost(server->run, "the server of CPU %u runs elsewhere", server->cpu);
        }
        last = q->last;
        q->answer = ~q->asked;
        event_set(&q->done);
    }
}

static enum hx_status server_start(struct server *server, struct stress_run *run, cpu_id_t cpu)
{
    char name[TASK_NAME_MAX];
    format_buffer(name, sizeof(name), "stress server %u", cpu);
    server->run = run;
    server->cpu = cpu;
    server->lock = (struct spinlock)SPINLOCK_INIT("stress server", LOCK_RANK_PROCESS);
    list_init(&server->questions);
    semaphore_init(&server->pending, 0);
    enum hx_status status = task_create(name, server_main, server, &server->task);
    if (status != HX_OK) {
        server->task = NULL;
        return status;
    }
    status = sched_affinity_set(server->task, 1ull << cpu);
    task_start(server->task);
    return status;
}

static void server_stop(struct server *server)
{
    s64 value;
    server->end.last = true;
    event_init(&server->end.done, false, false);
    ask(server, &server->end);
    if (task_join(server->task, time_now_ns() + 10 * HX_NS_PER_SEC, &value) == HX_OK) {
        task_put(server->task);
    } else {
        stress_lost(server->run, "%s does not end", server->task->name);
    }
}

/* the run */

static void station_init(struct station *s)
{
    mutex_init(&s->mutex);
    semaphore_init(&s->permits, PERMITS);
    semaphore_init(&s->tokens, 0);
    event_init(&s->baton, false, true);
    mutex_init(&s->ring_mutex);
    condition_init(&s->not_full);
    condition_init(&s->not_empty);
    rwlock_init(&s->lock);
}

static void expect(struct stress_run *run, bool holds, const char *what, u64 is, u64 want)
{
    if (!holds) {
        stress_lost(run, "%s: %lu, %lu", what, is, want);
    }
}

static void station_check(struct stress_run *run, struct station *s)
{
    expect(run, s->guarded == s->entered, "guarded, entered", s->guarded, s->entered);
    expect(run, s->permits.count == PERMITS, "permits, wanted", s->permits.count, PERMITS);
    expect(run, s->tokens.count == s->made - s->taken, "tokens, wanted", s->tokens.count,
           s->made - s->taken);
    expect(run, s->got + s->baton.set <= s->set, "events got, set", s->got, s->set);
    expect(run, s->set == 0 || s->got + s->baton.set > 0, "events got, set", s->got, s->set);
    expect(run, s->written - s->read <= RING, "messages written, read", s->written, s->read);
    expect(run, s->left == s->right, "left, right", s->left, s->right);
    expect(run, s->lock.readers == 0, "readers, wanted", (u64)s->lock.readers, 0);
}

static enum hx_status stress_sched(struct stress_run *run)
{
    memset(&arena, 0, sizeof(arena));
    for (u32 i = 0; i < STATIONS; i++) {
        station_init(&arena.stations[i]);
    }
    enum hx_status status = HX_OK;
    for (u64 mask = cpu_online_mask(); mask && status == HX_OK; mask &= mask - 1) {
        cpu_id_t cpu = (cpu_id_t)__builtin_ctzll(mask);
        status = server_start(&arena.servers[cpu], run, cpu);
    }
    if (status == HX_OK) {
        status = stress_workers_run(run, sizeof(struct own), do_one, NULL);
    }
    if (status == HX_ERR_TIMED_OUT) {
        return status;
    }
    u64 served = 0, servers = 0;
    for (u32 cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        if (arena.servers[cpu].task) {
            server_stop(&arena.servers[cpu]);
            served += arena.servers[cpu].served;
            servers++;
        }
    }
    for (u32 i = 0; i < STATIONS; i++) {
        station_check(run, &arena.stations[i]);
    }
    expect(run, served == arena.asked + servers, "served, asked", served, arena.asked + servers);
    expect(run, arena.children_started == arena.children_joined, "children started, joined",
           arena.children_started, arena.children_joined);
    expect(run, arena.timers_started == arena.timers_fired + arena.timers_cancelled,
           "timers started, fired or cancelled", arena.timers_started,
           arena.timers_fired + arena.timers_cancelled);
    return status;
}

STRESS(sched, "sched", 200000, stress_sched);
