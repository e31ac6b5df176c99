/* SPDX-License-Identifier: MIT */
/* The scheduler's promises, each as one check over many random machines.
 * Usage:     dis-goals NAME [--count N] [--seed S] [--seconds T] [--nightly]
 * Each goal prints what was measured and fails with a line that says which run broke it; the seed
 * repeats it. Oracles are written from the definitions, on purpose not from the code under test.
 */
#include <dis/demand.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dis_priv.h"
#include "sim.h"

#define SET_MAX 512
#define MS      HX_NS_PER_MS
#define US      HX_NS_PER_US
#define SEC     HX_NS_PER_SEC

struct rt_set {
    u32 n;
    u64 c[SET_MAX], d[SET_MAX], p[SET_MAX];
};

static struct {
    u64 count, seed, seconds;
    bool nightly;
    u64 failures;
    u64 events;
    dis_opt_fn *optimizer; /* of every machine that is built */
} run;

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "FAIL: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    if (++run.failures > 20) {
        exit(1);
    }
}

static double uniform(void)
{
    return (double)(sim_random() >> 11) / 9007199254740992.0;
}

/* ---- random task sets ---- */

static u64 random_period(void)
{
    return (u64)(1e6 * pow(1000.0, uniform())); /* log-uniform, 1 ms to 1 s */
}

/* UUniFast: utilisations that sum to `total`, uniformly among all such. */
static void set_random(struct rt_set *s, u32 n, double total, bool constrained, double most)
{
    double left, u[SET_MAX];
    bool again = true;
    while (again) {
        again = false;
        left = total;
        for (u32 i = 0; i < n; i++) {
            double next = i + 1 == n ? 0.0 : left * pow(uniform(), 1.0 / (double)(n - 1 - i));
            u[i] = left - next;
            left = next;
            again = again || u[i] > most;
        }
    }
    s->n = n;
    for (u32 i = 0; i < n; i++) {
        s->p[i] = random_period();
        s->c[i] = (u64)(u[i] * (double)s->p[i]);
        s->c[i] = s->c[i] < DIS_RUNTIME_MIN_NS ? DIS_RUNTIME_MIN_NS : s->c[i];
        s->d[i] = s->p[i];
        if (constrained) {
            s->d[i] = s->c[i] + (u64)((double)(s->p[i] - s->c[i]) * (0.3 + 0.7 * uniform()));
        }
    }
}

/* Utilisation of exactly 1, or one ns of one task above it. */
static void set_exact(struct rt_set *s, u32 n, bool above)
{
    static const u64 periods[] = {1, 2, 4, 5, 8, 10, 20, 40}; /* ms; all divide 40 ms */
    u64 left = 40 * MS;                                       /* of work in 40 ms */
    s->n = n;
    for (u32 i = 0; i < n; i++) {
        u64 k;
        s->p[i] = (i + 1 == n ? 40 : periods[sim_random_below(8)]) * MS;
        s->d[i] = s->p[i];
        k = 40 * MS / s->p[i];
        s->c[i] = i + 1 == n ? left : (left / 2 / k) * (1 + sim_random_below(900)) / 1000;
        s->c[i] = s->c[i] < DIS_RUNTIME_MIN_NS ? DIS_RUNTIME_MIN_NS : s->c[i];
        left -= i + 1 == n ? 0 : s->c[i] * k;
    }
    if (above && n != 0) {
        s->c[0]++;
    }
}

/* ---- the oracle for one CPU ---- */

#define BIG_WORDS 160

struct big {
    u32 w[BIG_WORDS];
};

static void big_mul(struct big *b, u64 m)
{
    u32 m0 = (u32)m, m1 = (u32)(m >> 32);
    struct big r = {{0}};
    u64 carry = 0;
    for (u32 i = 0; i < BIG_WORDS; i++) {
        u64 t = (u64)b->w[i] * m0 + carry;
        r.w[i] = (u32)t;
        carry = t >> 32;
    }
    carry = 0;
    for (u32 i = 0; i + 1 < BIG_WORDS && m1 != 0; i++) {
        u64 t = (u64)b->w[i] * m1 + r.w[i + 1] + carry;
        r.w[i + 1] = (u32)t;
        carry = t >> 32;
    }
    *b = r;
}

static void big_add(struct big *a, const struct big *b)
{
    u64 carry = 0;
    for (u32 i = 0; i < BIG_WORDS; i++) {
        u64 t = (u64)a->w[i] + b->w[i] + carry;
        a->w[i] = (u32)t;
        carry = t >> 32;
    }
}

static int big_cmp(const struct big *a, const struct big *b)
{
    for (u32 i = BIG_WORDS; i-- > 0;) {
        if (a->w[i] != b->w[i]) {
            return a->w[i] < b->w[i] ? -1 : 1;
        }
    }
    return 0;
}

/* Sum of c/p against 1, as one exact fraction. */
static int oracle_utilisation(const struct rt_set *s)
{
    struct big num = {{0}}, den = {{1}};
    for (u32 i = 0; i < s->n; i++) {
        struct big part = den;
        big_mul(&part, s->c[i]);
        big_mul(&num, s->p[i]);
        big_add(&num, &part);
        big_mul(&den, s->p[i]);
    }
    return big_cmp(&num, &den);
}

static double utilisation(const struct rt_set *s)
{
    double u = 0;
    for (u32 i = 0; i < s->n; i++) {
        u += (double)s->c[i] / (double)s->p[i];
    }
    return u;
}

/* Length of the first busy period, at most `most`. */
static u64 busy_period(const struct rt_set *s, u64 most)
{
    u64 w = 1, last = 0;
    while (w != last && w <= most) {
        last = w;
        w = 0;
        for (u32 i = 0; i < s->n; i++) {
            w += (last + s->p[i] - 1) / s->p[i] * s->c[i];
        }
    }
    return w > most ? most + 1 : w;
}

/* Walks every deadline of the synchronous busy period in order and sums the demand. 1 feasible,
 * 0 not, -1 the period is longer than `most`. */
static int oracle_edf(const struct rt_set *s, u64 most)
{
    u64 next[SET_MAX], demand = 0, end;
    u32 heap[SET_MAX], n = s->n;
    if (oracle_utilisation(s) > 0) {
        return 0;
    }
    end = busy_period(s, most);
    if (end > most) { /* demand(t) <= U t + sum((p - d) u): beyond this nothing can fail */
        double u = utilisation(s), excess = 0;
        for (u32 i = 0; i < n; i++) {
            excess += (double)(s->p[i] - s->d[i]) * (double)s->c[i] / (double)s->p[i];
        }
        if (excess == 0) {
            return 1;
        }
        if (u >= 1.0 - 1e-9 || excess / (1.0 - u) * 1.001 > (double)most) {
            return -1;
        }
        end = (u64)(excess / (1.0 - u) * 1.001) + 2;
    }
    for (u32 i = 0; i < n; i++) {
        u32 k = i;
        next[i] = s->d[i];
        while (k > 0 && next[heap[(k - 1) / 2]] > next[i]) {
            heap[k] = heap[(k - 1) / 2];
            k = (k - 1) / 2;
        }
        heap[k] = i;
    }
    while (next[heap[0]] <= end) {
        u32 i = heap[0], k = 0;
        demand += s->c[i];
        if (demand > next[i]) {
            /* Ties: all deadlines at this instant count, and more only adds. */
            return 0;
        }
        next[i] += s->p[i];
        for (;;) {
            u32 child = 2 * k + 1;
            if (child >= n) {
                break;
            }
            if (child + 1 < n && next[heap[child + 1]] < next[heap[child]]) {
                child++;
            }
            if (next[heap[child]] >= next[i]) {
                break;
            }
            heap[k] = heap[child];
            k = child;
        }
        heap[k] = i;
    }
    return 1;
}

static enum dis_fit set_fits(const struct rt_set *s)
{
    struct dis_demand demand[SET_MAX];
    u64 words[SET_MAX];
    for (u32 i = 0; i < s->n; i++) {
        demand[i] = (struct dis_demand){s->c[i], s->c[i], s->d[i], s->p[i]};
    }
    return dis_demand_fits(demand, s->n, 0, words);
}

/* ---- machines ---- */

static struct sim_options bare(u32 cpus)
{
    struct sim_options o = {.config = DIS_CONFIG_DEFAULT(cpus), .check_every = 1021};
    o.config.rt_permille = 1000;
    o.config.guard_permille = 0;
    o.config.system_permille = 0;
    return o;
}

static void machine(const struct sim_options *o)
{
    sim_init(o);
    dis_opt_set(run.optimizer);
}

static void machine_end(void)
{
    run.events += sim_counts()->events;
    dis_opt_set(NULL);
    sim_fini();
}

static struct sim_task *rt_task(const char *name, u64 c, u64 d, u64 p, u64 first, u32 flags,
                                enum hx_status *out_status)
{
    struct sim_task *t = sim_task_create(name, sim_program_periodic, NULL, NULL, first);
    struct hx_intent in = {.size = sizeof(in),
                           .cls = SCHED_CLASS_REALTIME,
                           .flags = flags,
                           .period = p,
                           .deadline = d,
                           .wcet = c};
    t->vars[0] = p;
    t->vars[1] = c;
    *out_status = sim_task_intent(t, &in, NULL);
    return t;
}

static struct sim_task *task_of(const char *name, u32 cls, u64 latency, u64 burst, u32 rate,
                                sim_program *program, u64 start)
{
    struct sim_task *t = sim_task_create(name, program, NULL, NULL, start);
    struct hx_intent in = {
        .size = sizeof(in), .cls = cls, .latency = latency, .burst = burst, .rate = rate};
    if (sim_task_intent(t, &in, NULL) != HX_OK) {
        fail("an intent of class %u was refused", cls);
    }
    return t;
}

static u64 exec_of(struct sim_task *t)
{
    struct sched_account a;
    dis_stats_ctx(&t->ctx, sim_now(), &a);
    return a.exec_ns;
}

static bool expect_no_misses(const char *what, u64 id)
{
    if (dis.misses != 0) {
        fail("%s %" PRIu64 ": %" PRIu64 " deadlines missed, the last by context %u at %" PRIu64
             " (seed %" PRIu64 ")",
             what, id, dis.misses, dis.last_miss_id, dis.last_miss_ns, run.seed);
        return false;
    }
    return true;
}

/* ---- G1: admission is exact, and what is admitted is met ---- */

static void g1_random_set(struct rt_set *s, u64 k)
{
    u32 n = 2 + (u32)sim_random_below(63);
    if (k % 10 == 9) {
        set_exact(s, 2 + (u32)sim_random_below(20), k % 20 == 19);
    } else {
        set_random(s, n, 0.5 + 0.5 * uniform(), k % 2 == 1, 1.0);
    }
}

static void g1_simulate(const struct rt_set *s, u64 k, u64 until, bool admitted)
{
    struct sim_options o = bare(1);
    bool all = true;
    machine(&o);
    for (u32 i = 0; i < s->n && all; i++) {
        enum hx_status status;
        rt_task("rt", s->c[i], s->d[i], s->p[i], k % 3 == 0 ? sim_random_below(s->p[i]) : 0, 0,
                &status);
        if (k % 3 == 1) {
            sim_tasks()->vars[3] = s->p[i] / 4; /* sporadic: later than the period */
        }
        all = status == HX_OK;
    }
    if (all != admitted) {
        fail("set %" PRIu64 ": admission one by one says %d, the test says %d (seed %" PRIu64 ")",
             k, all, admitted, run.seed);
    } else if (all) {
        sim_run(until);
        expect_no_misses("set", k);
    }
    machine_end();
}

static void goal_g1(void)
{
    u64 sets = run.count != 0 ? run.count : 100000, feasible = 0, beyond = 0, undecided = 0;
    u64 simulate = run.nightly ? sets : sets < 500 ? sets : 500, simulated = 0;
    for (u64 k = 0; k < sets; k++) {
        struct rt_set s;
        enum dis_fit fit;
        int truth;
        sim_seed(run.seed + k);
        g1_random_set(&s, k);
        fit = set_fits(&s);
        truth = oracle_edf(&s, 60 * SEC);
        undecided += fit == DIS_UNDECIDED;
        beyond += truth < 0;
        if (truth >= 0 && fit != DIS_UNDECIDED && (fit == DIS_FITS) != (truth == 1)) {
            fail("set %" PRIu64 ": admission says %s, the oracle says %s (seed %" PRIu64 ")", k,
                 fit == DIS_FITS ? "fits" : "full", truth ? "feasible" : "infeasible", run.seed);
        }
        feasible += truth == 1;
        if (fit == DIS_FITS && simulated < simulate) {
            u64 until = run.nightly ? busy_period(&s, 10 * SEC) : 2 * SEC;
            simulated++;
            g1_simulate(&s, k, run.nightly && until > 10 * SEC ? 10 * SEC : until, true);
        }
    }
    if (undecided != 0) {
        fail("%" PRIu64 " sets were left undecided", undecided);
    }
    if (beyond * 200 > sets || feasible * 10 < sets) {
        fail("the sets do not test much: %" PRIu64 " beyond the oracle, %" PRIu64 " feasible",
             beyond, feasible);
    }
    printf("G1 %" PRIu64 " sets: %" PRIu64 " feasible, all decided as the oracle does (%" PRIu64
           " beyond it); %" PRIu64 " simulated, no miss\n",
           sets, feasible, beyond, simulated);
}

/* ---- G3: tasks that lie hurt only themselves ---- */

static void goal_g3(void)
{
    u64 runs = run.count != 0 ? run.count : 60, lies = 0;
    for (u64 k = 0; k < runs; k++) {
        struct sim_options o = bare(1);
        struct sim_task *liars[4];
        enum hx_status status;
        struct rt_set s;
        u32 nliars = 0;
        sim_seed(run.seed + k);
        o.config.rt_permille = 900;
        o.config.guard_permille = 50;
        o.config.system_permille = 50;
        machine(&o);
        set_random(&s, 4 + (u32)sim_random_below(12), 0.6, k % 2 == 1, 0.9);
        for (u32 i = 0; i < s.n; i++) {
            rt_task("honest", s.c[i], s.d[i], s.p[i], 0, 0, &status);
        }
        for (u32 i = 0; i < 4; i++) {
            u64 p = (2 + sim_random_below(40)) * MS;
            struct sim_task *t =
                rt_task("liar", p / 20, p, p, 0, i % 2 == 0 ? HX_INTENT_HARD : 0, &status);
            if (status != HX_OK) {
                continue;
            }
            t->vars[4] = 1000 + sim_random_below(20000); /* up to 20 times what it declared */
            if (i == 3) {
                t->program = sim_program_hog;
            }
            liars[nliars++] = t;
        }
        for (u32 i = 0; i < 8; i++) {
            struct sim_task *t =
                task_of("storm", SCHED_CLASS_BATCH, 0, 0, 0, sim_program_yielder, 0);
            t->vars[0] = 2000 + sim_random_below(20000);
        }
        sim_run(3 * SEC);
        expect_no_misses("run", k);
        for (u32 i = 0; i < nliars; i++) {
            lies += liars[i]->ctx.acct.overruns;
            if (liars[i]->ctx.acct.overruns == 0) {
                fail("run %" PRIu64 ": an overrun was not noticed (seed %" PRIu64 ")", k, run.seed);
            }
        }
        machine_end();
    }
    printf("G3 %" PRIu64 " machines with liars and yield storms: %" PRIu64
           " overruns told, no honest miss\n",
           runs, lies);
}

/* ---- G4: several CPUs ---- */

static void set_sort(struct rt_set *s)
{
    for (u32 i = 1; i < s->n; i++) {
        for (u32 j = i;
             j > 0 && (double)s->c[j] / (double)s->p[j] > (double)s->c[j - 1] / (double)s->p[j - 1];
             j--) {
            u64 c = s->c[j], d = s->d[j], p = s->p[j];
            s->c[j] = s->c[j - 1], s->d[j] = s->d[j - 1], s->p[j] = s->p[j - 1];
            s->c[j - 1] = c, s->d[j - 1] = d, s->p[j - 1] = p;
        }
    }
}

static void goal_g4(void)
{
    static const u32 sizes[] = {2, 4, 8, 64};
    for (u32 m = 0; m < 4; m++) {
        u32 cpus = sizes[m], split = 0;
        u64 sets = run.count != 0 ? run.count : run.nightly ? 400 : cpus == 64 ? 6 : 60;
        u64 admitted = 0;
        for (u64 k = 0; k < sets; k++) {
            struct sim_options o = bare(cpus);
            u32 n = 4 * cpus + (u32)sim_random_below(2 * cpus);
            bool all = true;
            struct rt_set s;
            sim_seed(run.seed + k + 1000 * cpus);
            n = 4 * cpus + (u32)sim_random_below(2 * cpus);
            set_random(&s, n, 0.95 * cpus * (0.85 + 0.15 * uniform()), false, 0.95);
            set_sort(&s);
            machine(&o);
            for (u32 i = 0; i < s.n && all; i++) {
                enum hx_status status;
                struct sim_task *t = rt_task("rt", s.c[i], s.d[i], s.p[i], 0, 0, &status);
                all = status == HX_OK;
                split += all && t->ctx.pieces > 1;
            }
            admitted += all;
            sim_run(cpus == 64 ? SEC / 2 : SEC); /* a part of a set is a set, too */
            expect_no_misses("set", k);
            machine_end();
        }
        printf("G4 %u CPUs: %" PRIu64 " of %" PRIu64 " sets admitted up to 0.95, %u tasks split, "
               "no miss\n",
               cpus, admitted, sets, split);
        if (admitted * 100 < sets * 98) {
            fail("%u CPUs: only %" PRIu64 " of %" PRIu64 " sets admitted (seed %" PRIu64 ")", cpus,
                 admitted, sets, run.seed);
        }
    }
}

/* Few large tasks: a bin packer fails, pieces fit. */
static void goal_split(void)
{
    static const u32 sizes[] = {2, 4, 8};
    for (u32 m = 0; m < 3; m++) {
        u32 cpus = sizes[m], split = 0, packed = 0;
        u64 sets = run.count != 0 ? run.count : run.nightly ? 1000 : 60, admitted = 0;
        for (u64 k = 0; k < sets; k++) {
            struct sim_options o = bare(cpus);
            bool all = true, whole = true;
            struct rt_set s;
            sim_seed(run.seed + k + 77 * cpus);
            set_random(&s, cpus + 1 + (u32)sim_random_below(cpus), 0.9 * cpus, k % 3 == 2, 0.9);
            set_sort(&s);
            machine(&o);
            for (u32 i = 0; i < s.n && all; i++) {
                enum hx_status status;
                struct sim_task *t = rt_task("rt", s.c[i], s.d[i], s.p[i], 0, 0, &status);
                all = status == HX_OK;
                whole = whole && t->ctx.pieces == 1;
                split += all && t->ctx.pieces > 1;
            }
            admitted += all;
            packed += all && whole;
            sim_run(2 * SEC);
            expect_no_misses("set", k);
            machine_end();
        }
        printf("split %u CPUs, large tasks, 0.9: %" PRIu64 " of %" PRIu64 " sets admitted (%u "
               "without splitting), %u tasks split, no miss\n",
               cpus, admitted, sets, packed, split);
        if (split == 0 || admitted <= packed) {
            fail("splitting did not help at all");
        }
    }
}

/* ---- G2: overheads are counted, and it is they that matter ---- */

static void goal_g2(void)
{
    u64 runs = run.count != 0 ? run.count : run.nightly ? 200 : 40, missed = 0, tasks = 0;
    for (u32 counted = 0; counted < 2; counted++) {
        for (u64 k = 0; k < runs; k++) {
            struct sim_options o = bare(1);
            enum hx_status status = HX_OK;
            double u = 0;
            sim_seed(run.seed + k);
            o.switch_cost = 3 * US;
            o.irq_cost = 2 * US;
            o.config.switch_ns = counted ? o.switch_cost : 0;
            o.config.irq_ns = counted ? 2 * o.irq_cost : 0;
            o.config.block_ns = 0;
            machine(&o);
            while (status == HX_OK) { /* fill up, then with what admission says still fits */
                u64 p = (1 + sim_random_below(20)) * MS;
                u64 c = p / 100 * (2 + sim_random_below(10));
                struct sim_task *t = sim_task_create("rt", sim_program_periodic, NULL, NULL, 0);
                struct hx_intent in = {
                    .size = sizeof(in), .cls = SCHED_CLASS_REALTIME, .period = p, .wcet = c};
                struct hx_intent_result res;
                t->vars[0] = p;
                t->vars[1] = c;
                status = sim_task_intent(t, &in, &res);
                if (status == HX_ERR_NO_FIT && res.max_wcet >= DIS_RUNTIME_MIN_NS) {
                    in.wcet = c = res.max_wcet;
                    if (sim_task_intent(t, &in, &res) != HX_OK) {
                        fail("what admission offered did not fit");
                    }
                    in.wcet++;
                    if (sim_task_intent(t, &in, &res) != HX_ERR_NO_FIT) {
                        fail("more than what admission offered did fit");
                    }
                } else if (status != HX_OK) {
                    break;
                }
                t->vars[1] = c;
                u += (double)c / (double)p;
                tasks++;
            }
            sim_run(2 * SEC);
            if (counted) {
                expect_no_misses("machine", k);
                if (u < 0.9) {
                    fail("machine %" PRIu64 " was only filled to %.3f", k, u);
                }
            } else {
                missed += dis.misses != 0 || dis.overruns != 0;
            }
            machine_end();
        }
    }
    printf("G2 %" PRIu64 " full machines with costly switches, %" PRIu64
           " tasks: no miss when they "
           "are counted; when not, %" PRIu64 " fail\n",
           runs, tasks, missed);
    if (missed * 10 < runs * 9) {
        fail("overheads do not matter here: the check could not fail");
    }
}

/* ---- latency recorder ---- */

static struct {
    u64 woken[4096];
    u64 *samples;
    size_t nr, room;
    const bool *wanted; /* by id */
} wakes;

static void wakes_observe(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg)
{
    (void)cpu;
    (void)arg;
    if (id >= HX_ARRAY_SIZE(wakes.woken) || !wakes.wanted[id]) {
        return;
    }
    if (event == DIS_EVENT_WAKE) {
        wakes.woken[id] = now + 1;
    } else if (event == DIS_EVENT_SWITCH && wakes.woken[id] != 0) {
        if (wakes.nr == wakes.room) {
            wakes.room = wakes.room * 2 + 4096;
            wakes.samples = realloc(wakes.samples, wakes.room * sizeof(u64));
            if (wakes.samples == NULL) {
                exit(1);
            }
        }
        wakes.samples[wakes.nr++] = now + 1 - wakes.woken[id];
        wakes.woken[id] = 0;
    }
}

static int compare_u64(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;
    return x < y ? -1 : x > y;
}

static u64 wakes_percentile(double p)
{
    qsort(wakes.samples, wakes.nr, sizeof(u64), compare_u64);
    return wakes.nr == 0 ? 0 : wakes.samples[(size_t)((double)(wakes.nr - 1) * p)];
}

/* ---- G6: a crowd of Interactive tasks, with and without liars ---- */

static u64 g6_run(u64 seconds, bool liars, u64 *out_max)
{
    struct sim_options o = {.config = DIS_CONFIG_DEFAULT(1), .check_every = 1021};
    static bool wanted[4096];
    u64 p99;
    sim_seed(run.seed);
    machine(&o);
    memset(wanted, 0, sizeof(wanted));
    for (u32 i = 0; i < 42; i++) {
        struct sim_task *t = task_of("honest", SCHED_CLASS_INTERACTIVE, 20 * MS, 200 * US, 10,
                                     sim_program_periodic, i * 377 * US);
        t->vars[0] = (30 + i) * MS;
        t->vars[1] = 150 * US;
        wanted[t->ctx.id] = true;
        if ((t->ctx.flags & DIS_CTX_ADMITTED) == 0) {
            fail("an honest task was not admitted");
        }
    }
    for (u32 i = 0; i < 8; i++) { /* they declare the same, and never stop */
        task_of("liar", SCHED_CLASS_INTERACTIVE, 20 * MS, 200 * US, 10,
                liars ? sim_program_hog : sim_program_periodic, 0);
        sim_tasks()->vars[0] = 50 * MS;
        sim_tasks()->vars[1] = 150 * US;
    }
    for (u32 i = 0; i < 8; i++) {
        task_of("batch", SCHED_CLASS_BATCH, 0, 0, 0, sim_program_hog, 0);
    }
    wakes.nr = 0;
    memset(wakes.woken, 0, sizeof(wakes.woken));
    wakes.wanted = wanted;
    sim_observe(wakes_observe);
    sim_run(seconds * SEC);
    p99 = wakes_percentile(0.99);
    *out_max = wakes_percentile(1.0);
    machine_end();
    return p99;
}

static void goal_g6(void)
{
    u64 seconds = run.seconds != 0 ? run.seconds : run.nightly ? 600 : 60, max[2], p99[2];
    p99[0] = g6_run(seconds, false, &max[0]);
    p99[1] = g6_run(seconds, true, &max[1]);
    printf("G6 50 Interactive tasks, 42 honest, %" PRIu64 " s: wake p99 %" PRIu64
           " ns, max %" PRIu64 " ns; with 8 liars p99 %" PRIu64 " ns, max %" PRIu64
           " ns; target 20 ms\n",
           seconds, p99[0], max[0], p99[1], max[1]);
    if (max[0] > 20 * MS || max[1] > 20 * MS) {
        fail("a wake-up started after its declared target");
    }
    if (p99[1] > p99[0] + p99[0] / 100 + US) {
        fail("liars made the honest ones' p99 worse");
    }
}

/* ---- G7: nobody is further than one request from its fluid share ---- */

#define LAG_TASKS 24

static struct {
    struct sim_task *tasks[LAG_TASKS];
    double lag[LAG_TASKS], most;
    u64 weight[LAG_TASKS], left_at[LAG_TASKS];
    bool in[LAG_TASKS];
    u64 total, last;
    int running;
    u64 picks;
} fluid;

static int fluid_index(u32 id)
{
    for (int i = 0; i < LAG_TASKS; i++) {
        if (fluid.tasks[i] != NULL && fluid.tasks[i]->ctx.id == id) {
            return i;
        }
    }
    return -1;
}

/* Everyone in the queue is owed its share of the time that was served. */
static void fluid_advance(u64 now)
{
    double dt = (double)(now - fluid.last);
    fluid.last = now;
    if (fluid.running < 0 || dt == 0) {
        return;
    }
    for (int i = 0; i < LAG_TASKS; i++) {
        if (fluid.in[i]) {
            fluid.lag[i] += dt * (double)fluid.weight[i] / (double)fluid.total;
        }
    }
    fluid.lag[fluid.running] -= dt;
    for (int i = 0; i < LAG_TASKS; i++) {
        if (fluid.in[i] && fabs(fluid.lag[i]) > fluid.most) {
            fluid.most = fabs(fluid.lag[i]);
        }
    }
}

/* What a member takes away when it goes is shared among the others by weight, and reversely. */
static void fluid_share(int except, double amount)
{
    double others = (double)(fluid.total - fluid.weight[except]);
    for (int i = 0; i < LAG_TASKS && others > 0; i++) {
        if (fluid.in[i] && i != except) {
            fluid.lag[i] += amount * (double)fluid.weight[i] / others;
        }
    }
}

static void fluid_leave(int i, u64 now)
{
    fluid_share(i, fluid.lag[i]);
    fluid.in[i] = false;
    fluid.total -= fluid.weight[i];
    fluid.left_at[i] = now;
    if (fluid.running == i) {
        fluid.running = -1;
    }
}

static void fluid_join(int i, u64 now, bool woken)
{
    double limit = 10e6;
    fluid.weight[i] = fluid.tasks[i]->ctx.weight;
    if (woken && fluid.lag[i] < 0) {
        double slept = fmin((double)(now - fluid.left_at[i]), 1e9);
        fluid.lag[i] = fmin(0, fluid.lag[i] + slept * (double)fluid.weight[i] /
                                                  (double)(fluid.total + fluid.weight[i]));
    }
    fluid.lag[i] = fmax(-limit, fmin(limit, fluid.lag[i]));
    if (fluid.total == 0) {
        fluid.lag[i] = 0;
    }
    fluid.in[i] = true;
    fluid.total += fluid.weight[i];
    fluid_share(i, -fluid.lag[i]);
}

static void fluid_observe(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg)
{
    int i = fluid_index(id);
    (void)cpu;
    (void)arg;
    fluid_advance(now);
    switch (event) {
    case DIS_EVENT_SWITCH:
        fluid.running = i;
        fluid.picks++;
        break;
    case DIS_EVENT_WAKE:
        if (i >= 0) {
            fluid_join(i, now, true);
        }
        break;
    case DIS_EVENT_BLOCK:
        if (i >= 0) {
            fluid_leave(i, now);
        }
        break;
    default:
        break;
    }
}

static struct sim_step g7_program(struct sim_task *t)
{
    t->vars[6] ^= 1;
    if (t->vars[6] != 0) {
        return (struct sim_step){SIM_RUN, 50 * US + sim_random_below(t->vars[0])};
    }
    if (t->vars[1] == 0) {
        return (struct sim_step){SIM_YIELD, 0};
    }
    return (struct sim_step){SIM_SLEEP, sim_now() + 1 + sim_random_below(t->vars[1])};
}

static void g7_reweight(void *arg)
{
    u32 i = (u32)sim_random_below(LAG_TASKS);
    struct sim_task *t = fluid.tasks[i];
    struct hx_intent in = {.size = sizeof(in),
                           .cls = SCHED_CLASS_BATCH,
                           .weight = 128u << sim_random_below(7),
                           .slice = t->ctx.user_slice_ns};
    bool in_queue = fluid.in[i], running = fluid.running == (int)i;
    (void)arg;
    fluid_advance(sim_now());
    if (in_queue) {
        fluid_leave((int)i, sim_now());
    }
    if (sim_task_intent(t, &in, NULL) != HX_OK) {
        fail("a weight was refused");
    }
    if (in_queue) {
        fluid_join((int)i, sim_now(), false);
    }
    if (running) {
        fluid.running = (int)i;
    }
    sim_call_at(sim_now() + 3 * MS + sim_random_below(40 * MS), g7_reweight, NULL);
}

static void goal_g7(void)
{
    u64 want = run.count != 0 ? run.count : run.nightly ? 100000000 : 400000, done = 0, rounds = 0;
    double worst = 0;
    while (done < want) {
        struct sim_options o = bare(1);
        u64 r_max = 0;
        sim_seed(run.seed + rounds);
        memset(&fluid, 0, sizeof(fluid));
        fluid.running = -1;
        machine(&o);
        for (u32 i = 0; i < LAG_TASKS; i++) {
            struct sim_task *t = sim_task_create("fair", g7_program, NULL, NULL, 0);
            struct hx_intent in = {.size = sizeof(in),
                                   .cls = SCHED_CLASS_BATCH,
                                   .weight = 128u << sim_random_below(7),
                                   .slice = SCHED_SLICE_MIN_NS * (1 + sim_random_below(100))};
            t->vars[0] = 100 * US + sim_random_below(rounds % 2 ? 20 * MS : 2 * MS);
            t->vars[1] = i % 4 == 0 ? 0 : sim_random_below(30 * MS) + 1;
            if (sim_task_intent(t, &in, NULL) != HX_OK) {
                fail("a batch intent was refused");
            }
            fluid.tasks[i] = t;
            r_max = hx_max_u64(r_max, in.slice);
        }
        sim_observe(fluid_observe);
        sim_call_at(10 * MS, g7_reweight, NULL);
        while (fluid.picks < 100000 && fluid.picks + done < want) {
            sim_run(sim_now() + 100 * MS);
        }
        if (fluid.most > (double)r_max + 20000.0) { /* and 20 us for the oracle's roundings */
            fail("round %" PRIu64 ": lag %.0f ns, largest request %" PRIu64 " (seed %" PRIu64 ")",
                 rounds, fluid.most, r_max, run.seed);
        }
        worst = fmax(worst, fluid.most / (double)r_max);
        done += fluid.picks;
        rounds++;
        machine_end();
    }
    printf("G7 %" PRIu64 " picks in %" PRIu64 " machines with arrivals, departures, reweights: lag "
           "at most %.3f of the largest request\n",
           done, rounds, worst);
}

/* ---- G8: shares of groups ---- */

#define G8_GROUPS 6

struct g8_case {
    struct dis_group *group;
    u32 min, max; /* permille of the machine */
    u64 last, first;
};

static struct {
    struct g8_case cases[G8_GROUPS];
    u32 nr, cpus;
    u64 windows, skipped;
    double worst;
} g8;

static void g8_window(void *arg)
{
    u64 length = SEC;
    (void)arg;
    sim_settle();
    for (u32 i = 0; i < g8.nr; i++) {
        struct dis_group_stats st;
        double share;
        dis_group_stats(g8.cases[i].group, &st);
        share = (double)(st.exec_ns - g8.cases[i].last) / (double)length * 1000.0;
        g8.cases[i].last = st.exec_ns;
        if (g8.skipped == 0) { /* the first second settles */
            g8.cases[i].first = st.exec_ns;
            continue;
        }
        double off = 0;
        if (g8.cases[i].min != 0 && share < (double)g8.cases[i].min) {
            off = (double)g8.cases[i].min - share;
        }
        if (g8.cases[i].max != 0 && share > (double)g8.cases[i].max) {
            off = share - (double)g8.cases[i].max;
        }
        g8.worst = fmax(g8.worst, off / g8.cpus);
        if (off > 10.0 * g8.cpus) {
            fail("group %u: share %.1f permille, min %u, max %u (%u CPUs, seed %" PRIu64 ")", i,
                 share, g8.cases[i].min, g8.cases[i].max, g8.cpus, run.seed);
        }
        g8.windows++;
    }
    g8.skipped = 1;
    sim_call_at(sim_now() + SEC, g8_window, NULL);
}

static void goal_g8(void)
{
    static const u32 sizes[] = {1, 2, 8, 64};
    u64 seconds = run.seconds != 0 ? run.seconds : run.nightly ? 61 : 9;
    for (u32 m = 0; m < 4; m++) {
        u32 cpus = sizes[m], scale = cpus;
        struct sim_options o = {
            .config = DIS_CONFIG_DEFAULT(cpus), .check_every = 4093, .housekeep = 100 * MS};
        struct dis_group *a, *b, *c, *d;
        sim_seed(run.seed);
        memset(&g8, 0, sizeof(g8));
        g8.cpus = cpus;
        machine(&o);
        /* Three levels: a { b { c min }, d max }, and rivals at the root that take all they can. */
        struct dis_group_params pa = {.weight = 64}, pb = {.weight = 512},
                                pc = {.weight = 16, .min_permille = 300 * scale},
                                pd = {.weight = 1 << 17, .max_permille = 150 * scale};
        if (dis_group_create(NULL, &pa, &a) != HX_OK || dis_group_create(a, &pb, &b) != HX_OK ||
            dis_group_create(b, &pc, &c) != HX_OK || dis_group_create(NULL, &pd, &d) != HX_OK) {
            fail("a group was refused");
            return;
        }
        g8.cases[g8.nr++] = (struct g8_case){.group = c, .min = 300 * scale};
        g8.cases[g8.nr++] = (struct g8_case){.group = d, .max = 150 * scale, .min = 148 * scale};
        for (u32 i = 0; i < 2 * cpus; i++) {
            sim_task_create("c", sim_program_hog, NULL, c, 0);
            sim_task_create("b", sim_program_hog, NULL, b, 0);
            struct sim_task *t = sim_task_create("d", sim_program_hog, NULL, d, 0);
            if (dis_affinity_set(&t->ctx, HX_BIT(i % cpus)) != HX_OK) { /* it can take its max */
                fail("an affinity was refused");
            }
            sim_task_create("rival", sim_program_hog, NULL, NULL, 0);
        }
        sim_call_at(SEC, g8_window, NULL);
        sim_run(seconds * SEC + 1);
        for (u32 i = 0; i < g8.nr; i++) {
            double all = (double)(g8.cases[i].last - g8.cases[i].first) /
                         ((double)(seconds - 1) * 1e9) * 1000.0;
            double off = g8.cases[i].max != 0 ? all - g8.cases[i].max : 0;
            off = fmax(off, g8.cases[i].max == 0 ? g8.cases[i].min - all : 0);
            if (off > 1.0 * cpus) {
                fail("group %u: %.2f permille over all (%u CPUs)", i, all, cpus);
            }
        }
        printf("G8 %u CPUs: %" PRIu64 " windows of 1 s, shares off by at most %.2f permille of the "
               "machine\n",
               cpus, g8.windows, g8.worst);
        machine_end();
    }
}

/* ---- G9: nobody starves ---- */

static void goal_g9(void)
{
    u64 seconds = run.seconds != 0 ? run.seconds : run.nightly ? 120 : 20;
    struct sim_options o = {.config = DIS_CONFIG_DEFAULT(1), .check_every = 1021};
    static bool wanted[4096];
    struct sim_task *bg, *batch[4];
    enum hx_status status;
    u64 sum = 0, max;
    /* Background under full Batch and Interactive load. */
    sim_seed(run.seed);
    machine(&o);
    memset(wanted, 0, sizeof(wanted));
    for (u32 i = 0; i < 4; i++) {
        task_of("prompt", SCHED_CLASS_INTERACTIVE, 5 * MS, MS, 120, sim_program_hog, 0);
        task_of("batch", SCHED_CLASS_BATCH, 0, 0, 0, sim_program_hog, 0);
    }
    bg = task_of("background", SCHED_CLASS_BACKGROUND, 0, 0, 0, sim_program_periodic, 0);
    bg->vars[0] = 300 * MS;
    bg->vars[1] = 2 * MS;
    wanted[bg->ctx.id] = true;
    task_of("background", SCHED_CLASS_BACKGROUND, 0, 0, 0, sim_program_hog, 0);
    wakes.nr = 0;
    memset(wakes.woken, 0, sizeof(wakes.woken));
    wakes.wanted = wanted;
    sim_observe(wakes_observe);
    sim_run(seconds * SEC);
    sim_settle();
    sum = dis.rq[0]->stats.busy_ns[DIS_LAYER_IDLE];
    max = wakes_percentile(1.0);
    printf("G9 Background: %.2f %% of the CPU, longest wait %.1f ms\n",
           (double)sum / (double)seconds / 1e7, (double)max / 1e6);
    if (sum * 100 < seconds * SEC || max > 250 * MS) {
        fail("Background starves");
    }
    machine_end();
    /* Batch under all the Realtime there can be. */
    machine(&o);
    sum = 0;
    for (u32 i = 0; i < 6; i++) {
        struct sim_task *t = rt_task("rt", 3 * MS, 20 * MS, 20 * MS, 0, 0, &status);
        t->vars[4] = 5000; /* and it lies */
        if (i < 5 && status != HX_OK) {
            fail("Realtime was refused below its share");
        }
    }
    for (u32 i = 0; i < 4; i++) {
        batch[i] = task_of("batch", SCHED_CLASS_BATCH, 0, 0, 0, sim_program_hog, 0);
    }
    sim_run(seconds * SEC);
    for (u32 i = 0; i < 4; i++) {
        sum += exec_of(batch[i]);
    }
    printf("G9 Batch: %.2f %% under Realtime at its limit\n", (double)sum / (double)seconds / 1e7);
    if (sum * 20 < seconds * SEC) {
        fail("Batch starves");
    }
    machine_end();
}

/* ---- G11: policies are exchanged under load; G12: bad ones are ejected ---- */

static const struct sched_policy_ops *const policies[] = {&dis_policy_fair, &dis_policy_round_robin,
                                                          &dis_policy_fifo, &dis_policy_edf_soft};

static u64 swaps_done, swaps_busy;

static void swap_policy(void *arg)
{
    enum hx_status status = dis_policy_set(policies[sim_random_below(4)]);
    (void)arg;
    if (status == HX_OK) {
        swaps_done++;
    } else if (status == HX_ERR_BUSY) {
        swaps_busy++;
    } else {
        fail("an exchange answered %d", status);
    }
    sim_call_at(sim_now() + 100 * US + sim_random_below(20 * MS), swap_policy, NULL);
}

static void goal_g11(void)
{
    static const u32 crowd[] = {10, 1000, 10000};
    u64 want = run.count != 0 ? run.count : run.nightly ? 10000 : 500;
    for (u32 m = 0; m < 3; m++) {
        struct sim_options o = {.config = DIS_CONFIG_DEFAULT(2),
                                .check_every = m == 0 ? 7 : 2039,
                                .housekeep = 100 * MS};
        enum hx_status status;
        u64 slowest = 0;
        sim_seed(run.seed + m);
        swaps_done = swaps_busy = 0;
        machine(&o);
        for (u32 i = 0; i < 6; i++) {
            rt_task("rt", MS, 0, (5 + i) * MS, 0, 0, &status);
        }
        for (u32 i = 0; i < crowd[m]; i++) {
            struct sim_task *t = sim_task_create("any", g7_program, NULL, NULL, 0);
            t->vars[0] = 10 * US + sim_random_below(2 * MS);
            t->vars[1] = i % 3 == 0 ? 0 : 1 + sim_random_below(10 * MS);
        }
        sim_call_at(MS, swap_policy, NULL);
        while (swaps_done < want / (m == 2 ? 4 : 1)) {
            sim_run(sim_now() + 50 * MS);
        }
        expect_no_misses("exchanges", m);
        u64 begin = sim_now();
        while (dis_policy_busy() && sim_now() < begin + 10 * SEC) {
            sim_run(sim_now() + MS);
        }
        slowest = sim_now() - begin;
        sim_check(); /* nothing lost, nothing twice */
        if (dis_policy_ejected() != NULL) {
            fail("a good policy was ejected: %s", dis_policy_ejected());
        }
        printf("G11 %u contexts: %" PRIu64 " exchanges (%" PRIu64 " while one was under way), no "
               "miss, none lost; the last drained in %" PRIu64 " ms\n",
               crowd[m], swaps_done, swaps_busy, slowest / MS);
        machine_end();
    }
}

enum chaos {
    CHAOS_NONE,
    CHAOS_NULL,
    CHAOS_WILD,
    CHAOS_DEAD,
    CHAOS_FOREIGN,
    CHAOS_RUNNING,
    CHAOS_HIDE,
    CHAOS_COUNT
};
static const char *const chaos_names[CHAOS_COUNT] = {"none",
                                                     "no answer",
                                                     "wild id",
                                                     "dead context",
                                                     "another CPU's context",
                                                     "group's context",
                                                     "hides a context"};
static struct {
    enum chaos how;
    u32 id, foreign, dead;
} chaos;

static u32 chaos_pick(struct sched_queue *q)
{
    u32 honest = dis_policy_round_robin.pick(q);
    switch (chaos.how) {
    case CHAOS_NULL:
        return SCHED_ID_NONE;
    case CHAOS_WILD:
        return 0x7fffffff;
    case CHAOS_DEAD:
        return chaos.dead;
    case CHAOS_FOREIGN:
        return chaos.foreign;
    case CHAOS_RUNNING:
        return dis.system->queue[q->cpu]->ent.id;
    case CHAOS_HIDE: /* goes round its line, past the one it hides */
        if (honest == chaos.id) {
            struct list_node *head = (struct list_node *)(void *)q->state, *first = head->next;
            if (first->next != head) {
                list_remove(first);
                list_add_tail(head, first);
                return HX_CONTAINER_OF((void *)head->next, struct sched_ctx, policy)->id;
            }
        }
        return honest;
    default:
        return honest;
    }
}

static u64 ejected_at;

static void chaos_observe(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg)
{
    (void)cpu;
    (void)id;
    (void)arg;
    if (event == DIS_EVENT_EJECT && ejected_at == 0) {
        ejected_at = now;
    }
}

static void goal_g12(void)
{
    struct sched_policy_ops bad = dis_policy_round_robin, other = bad;
    bad.name = "chaos";
    bad.pick = chaos_pick;
    for (u32 how = CHAOS_NONE; how < CHAOS_COUNT; how++) {
        struct sim_options o = {.config = DIS_CONFIG_DEFAULT(2), .check_every = 7};
        struct sim_task *t = NULL, *gone;
        struct hx_intent in = {.size = sizeof(in), .cls = SCHED_CLASS_BATCH};
        enum hx_status status;
        u64 from = 200 * MS, before;
        sim_seed(run.seed + how);
        ejected_at = 0;
        chaos.how = CHAOS_NONE;
        machine(&o);
        sim_observe(chaos_observe);
        rt_task("rt", 3 * MS, 0, 10 * MS, 0, 0, &status);
        for (u32 i = 0; i < 6; i++) {
            t = sim_task_create("hog", sim_program_hog, NULL, NULL, 0);
            in.affinity = i % 2 == 0 ? 1 : 2;
            HX_IGNORE(sim_task_intent(t, &in, NULL), "a valid intent");
        }
        gone = sim_task_create("gone", sim_program_hog, NULL, NULL, 100 * SEC);
        chaos.id = t->ctx.id;
        chaos.foreign = t->ctx.id; /* on CPU 1: wrong on CPU 0 */
        chaos.dead = gone->ctx.id;
        if (dis_policy_set(&bad) != HX_OK) {
            fail("the policy was refused");
        }
        sim_run(from);
        chaos.how = (enum chaos)how;
        before = exec_of(t);
        sim_run(from + 2 * SEC);
        expect_no_misses("chaos", how);
        sim_check();
        if (how != CHAOS_NONE && (ejected_at == 0 || ejected_at > from + 100 * MS)) {
            fail("%s: ejected at %" PRIu64, chaos_names[how], ejected_at);
        }
        if (how == CHAOS_NONE && ejected_at != 0) {
            fail("an honest policy was ejected");
        }
        if (exec_of(t) < before + 300 * MS) {
            fail("%s: a context did not go on", chaos_names[how]);
        }
        printf("G12 %s: %s after %.2f ms\n", chaos_names[how], ejected_at ? "ejected" : "kept",
               ejected_at ? (double)(ejected_at - from) / 1e6 : 0);
        if (dis_policy_set(&dis_policy_fair) != HX_OK) {
            fail("no policy is accepted after an ejection");
        }
        sim_run(from + 3 * SEC);
        sim_check();
        machine_end();
    }
    /* Tables that are not tables. */
    struct sim_options o = bare(1);
    machine(&o);
    other.abi_version++;
    bool ok = dis_policy_set(&other) == HX_ERR_ABI;
    other = bad;
    other.size--;
    ok = ok && dis_policy_set(&other) == HX_ERR_ABI;
    other = bad;
    other.put = NULL;
    ok = ok && dis_policy_set(&other) == HX_ERR_INVALID && dis_policy_set(NULL) == HX_ERR_INVALID;
    if (!ok || dis_policy_current() != &dis_policy_fair) {
        fail("a malformed table was not refused as it should be");
    }
    machine_end();
}

/* ---- G13: an optimizer gone mad breaks no guarantee ---- */

static u64 mad_state, mad_outputs;

static u64 mad_optimizer(const struct sched_ctx *ctx, u64 now)
{
    (void)ctx;
    mad_state = (mad_state ^ now) * 0x5851f42d4c957f2dull + 1442695040888963407ull;
    mad_outputs++;
    return mad_state >> (mad_state & 63); /* from 0 to absurd */
}

static void goal_g13(void)
{
    bool nightly = run.nightly;
    u64 count = run.count;
    run.optimizer = mad_optimizer;
    mad_state = run.seed;
    run.nightly = false;
    run.count = nightly ? 20000 : 2000;
    goal_g1();
    run.count = nightly ? 4000000 : 100000;
    goal_g7();
    run.count = 0;
    goal_g8();
    goal_g9();
    goal_g3();
    run.count = count;
    printf("G13 all of these with %" PRIu64 " random proposals of the optimizer\n", mad_outputs);
    if (mad_outputs < 10000) {
        fail("the optimizer was hardly asked");
    }
}

/* ---- G14: the same decisions every time ---- */

static u64 g14_scenario(u32 k, u64 *out_events)
{
    struct sim_options o = {.config = DIS_CONFIG_DEFAULT(1), .check_every = 509};
    enum hx_status status;
    u64 hash;
    sim_seed(1000 + k);
    o.policy = policies[k % 4];
    machine(&o);
    for (u32 i = 0; i < k % 5; i++) {
        rt_task("rt", (1 + i) * 300 * US, 0, (5 + 3 * i) * MS, i * MS, i % 2 ? HX_INTENT_HARD : 0,
                &status);
        sim_tasks()->vars[4] = k % 7 == 0 ? 500 : 0;
    }
    for (u32 i = 0; i < k % 3; i++) {
        task_of("ia", SCHED_CLASS_INTERACTIVE, (2 + i) * MS, 0, 0, sim_program_periodic,
                i * 500 * US);
        sim_tasks()->vars[0] = (7 + i) * MS;
        sim_tasks()->vars[1] = (100 + 300 * i) * US;
    }
    for (u32 i = 0; i < 2 + k % 6; i++) {
        struct sim_task *t = sim_task_create("any", g7_program, NULL, NULL, i * 100 * US);
        t->vars[0] = 10 * US + sim_random_below(4 * MS);
        t->vars[1] = i % 2 ? 1 + sim_random_below(10 * MS) : 0;
    }
    task_of("bg", SCHED_CLASS_BACKGROUND, 0, 0, 0, sim_program_hog, 0);
    sim_run(500 * MS);
    hash = sim_counts()->hash;
    *out_events = sim_counts()->events;
    machine_end();
    return hash;
}

static void goal_g14(void)
{
    u64 all = 0, events, total = 0;
    for (u32 k = 0; k < 50; k++) {
        u64 first = g14_scenario(k, &events), second = g14_scenario(k, &events);
        if (first != second) {
            fail("scenario %u: two runs differ", k);
        }
        if (run.nightly) {
            printf("scenario %2u %016" PRIx64 "\n", k, first);
        }
        all = all * 31 + first;
        total += events;
    }
    printf("G14 50 scenarios, twice: identical; %" PRIu64 " events, digest %016" PRIx64 "\n", total,
           all);
}

/* ---- speed of the simulator ---- */

static void goal_speed(void)
{
    struct sim_options o = {
        .config = DIS_CONFIG_DEFAULT(4), .check_every = 4096, .housekeep = 100 * MS};
    clock_t begin;
    double seconds, rate;
    sim_seed(run.seed);
    machine(&o);
    for (u32 i = 0; i < 64; i++) {
        struct sim_task *t = sim_task_create("any", g7_program, NULL, NULL, 0);
        t->vars[0] = 10 * US + sim_random_below(400 * US);
        t->vars[1] = 1 + sim_random_below(2 * MS);
    }
    begin = clock();
    sim_run(20 * SEC);
    seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    rate = (double)sim_counts()->events / seconds;
    printf("speed: %" PRIu64 " events, %.2f million a second\n", sim_counts()->events, rate / 1e6);
    if (rate < 1e6) {
        fail("less than a million events a second");
    }
    machine_end();
}

static const struct {
    const char *name;
    void (*fn)(void);
    const char *words;
} goals[] = {
    {"g1", goal_g1, "admission is exact, and what is admitted is met"},
    {"g2", goal_g2, "overheads are part of admission"},
    {"g3", goal_g3, "tasks that lie hurt only themselves"},
    {"g4", goal_g4, "the same on several CPUs, by splitting where need be"},
    {"split", goal_split, "large tasks over several CPUs in pieces"},
    {"g6", goal_g6, "a crowd of Interactive tasks starts in time"},
    {"g7", goal_g7, "fairness: lag within one request"},
    {"g8", goal_g8, "cpu_min and cpu_max of groups"},
    {"g9", goal_g9, "nobody starves"},
    {"g11", goal_g11, "policies are exchanged under load"},
    {"g12", goal_g12, "bad policies are ejected"},
    {"g13", goal_g13, "a mad optimizer breaks no guarantee"},
    {"g14", goal_g14, "the same decisions every time"},
    {"speed", goal_speed, "events a second"},
};

int main(int argc, char **argv)
{
    const char *name = NULL;
    bool found = false;
    run.seed = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--count") == 0 && i + 1 < argc) {
            run.count = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            run.seed = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            run.seconds = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--nightly") == 0) {
            run.nightly = true;
        } else if (argv[i][0] != '-' && name == NULL) {
            name = argv[i];
        } else {
            name = NULL;
            break;
        }
    }
    for (size_t i = 0; name != NULL && i < HX_ARRAY_SIZE(goals); i++) {
        if (strcmp(name, goals[i].name) == 0 || strcmp(name, "all") == 0) {
            found = true;
            clock_t begin = clock();
            goals[i].fn();
            printf("%s: %.1f s, %" PRIu64 " events\n", goals[i].name,
                   (double)(clock() - begin) / CLOCKS_PER_SEC, run.events);
            fflush(stdout);
        }
    }
    free(wakes.samples);
    if (!found) {
        fprintf(stderr,
                "usage: dis-goals NAME|all [--count N] [--seed S] [--seconds T] [--nightly]\n");
        for (size_t i = 0; i < HX_ARRAY_SIZE(goals); i++) {
            fprintf(stderr, "  %-6s %s\n", goals[i].name, goals[i].words);
        }
        return 2;
    }
    return run.failures == 0 ? 0 : 1;
}
