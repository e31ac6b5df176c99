/* SPDX-License-Identifier: MIT */
/* Units of the scheduler, each in a small machine of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dis/demand.h>

#include "dis_priv.h"
#include "sim.h"

#define MS HX_NS_PER_MS
#define US HX_NS_PER_US

static void machine_of(u32 cpus)
{
    struct sim_options o = {.config = DIS_CONFIG_DEFAULT(cpus), .check_every = 1};
    sim_seed(1);
    sim_init(&o);
}

static struct sim_task *hog(const char *name, struct dis_group *group)
{
    return sim_task_create(name, sim_program_hog, NULL, group, sim_now());
}

static struct hx_intent realtime(u64 wcet, u64 deadline, u64 period)
{
    return (struct hx_intent){.size = sizeof(struct hx_intent),
                              .cls = SCHED_CLASS_REALTIME,
                              .wcet = wcet,
                              .deadline = deadline,
                              .period = period};
}

static struct hx_intent of_class(u32 cls)
{
    return (struct hx_intent){.size = sizeof(struct hx_intent), .cls = cls};
}

static u64 exec_of(struct sim_task *t)
{
    struct sched_account a;
    dis_stats_ctx(&t->ctx, sim_now(), &a);
    return a.exec_ns;
}

/* ---- tree ---- */

struct item {
    struct dis_tree_aug aug;
    bool in;
};

static u64 walk(struct sched_tree_node *n, bool edge, u64 *last, u32 *count, int *blacks)
{
    int left = 0, right = 0;
    u64 min;
    if (n == NULL) {
        *blacks = 1;
        return ~0ull >> 1;
    }
    if (dis_tree_is_red(n)) {
        assert_false(dis_tree_is_red(n->child[0]) || dis_tree_is_red(n->child[1]));
    }
    min = walk(n->child[0], edge, last, count, &left);
    assert_true(*last <= n->key);
    *last = n->key;
    ++*count;
    u64 other = walk(n->child[1], false, last, count, &right);
    assert_int_equal(left, right);
    *blacks = left + !dis_tree_is_red(n);
    min = min < other ? min : other;
    min = min < dis_tree_aug_of(n)->value ? min : dis_tree_aug_of(n)->value;
    assert_true(edge || dis_tree_aug_of(n)->min == min);
    return min;
}

static void tree_keeps_order_balance_and_minimum(void **state)
{
    static struct item items[300];
    struct dis_tree tree = {NULL, NULL};
    u32 in = 0;
    (void)state;
    sim_seed(3);
    memset(items, 0, sizeof(items));
    for (u32 step = 0; step < 30000; step++) {
        struct item *it = &items[sim_random_below(step % 5000 < 2500 ? 300 : 12)];
        u64 last = 0;
        u32 count = 0;
        int blacks;
        if (it->in) {
            dis_tree_remove(&tree, &it->aug.node, true);
            in--;
        } else {
            it->aug.node.key = sim_random_below(1000);
            it->aug.value = sim_random_below(1000);
            dis_tree_insert(&tree, &it->aug.node, true);
            in++;
        }
        it->in = !it->in;
        walk(tree.root, true, &last, &count, &blacks);
        assert_int_equal(count, in);
        struct sched_tree_node *first = tree.root;
        while (first != NULL && first->child[0] != NULL) {
            first = first->child[0];
        }
        assert_ptr_equal(tree.first, first);
    }
}

/* ---- intents ---- */

static void intent_with_bad_fields_is_refused_and_changes_nothing(void **state)
{
    struct hx_intent bad[] = {realtime(0, 0, 10 * MS),           realtime(11 * MS, 0, 10 * MS),
                              realtime(MS, 11 * MS, 10 * MS),    realtime(MS, 0, 0),
                              realtime(~0ull, 0, ~0ull),         realtime(MS, 0, ~0ull),
                              realtime(6 * MS, 5 * MS, 10 * MS), of_class(99),
                              of_class(SCHED_CLASS_INTERACTIVE), of_class(SCHED_CLASS_BATCH),
                              of_class(SCHED_CLASS_BATCH),       of_class(SCHED_CLASS_BATCH),
                              of_class(SCHED_CLASS_BATCH)};
    struct hx_intent_result res;
    struct sim_task *t;
    (void)state;
    bad[9].reserved = 1;
    bad[10].flags = 1u << 31;
    bad[11].weight = SCHED_WEIGHT_MAX + 1;
    bad[12].size--;
    machine_of(1);
    t = hog("t", NULL);
    for (size_t i = 0; i < HX_ARRAY_SIZE(bad); i++) {
        assert_int_equal(sim_task_intent(t, &bad[i], &res), HX_ERR_INVALID);
        assert_int_equal(res.verdict, HX_INTENT_REFUSED);
        assert_true(res.reason == HX_REASON_FIELD || res.reason == HX_REASON_CLASS);
        assert_int_equal(t->ctx.cls, SCHED_CLASS_BATCH);
    }
    sim_run(MS);
    sim_fini();
}

static void rights_limit_what_can_be_reserved(void **state)
{
    struct dis_rights rights = {.rt_permille = 100, .prompt_permille = 50, .burst_max = MS};
    struct hx_intent in = realtime(2 * MS, 0, 10 * MS);
    struct hx_intent_result res;
    struct sim_task *t;
    (void)state;
    machine_of(1);
    t = hog("t", NULL);
    assert_int_equal(dis_intent_set(&t->ctx, &in, &rights, &res), HX_ERR_LIMIT);
    assert_int_equal(res.max_wcet, MS);
    in.wcet = res.max_wcet;
    assert_int_equal(dis_intent_set(&t->ctx, &in, &rights, &res), HX_OK);
    in = of_class(SCHED_CLASS_SYSTEM);
    assert_int_equal(dis_intent_set(&t->ctx, &in, &rights, &res), HX_ERR_ACCESS);
    in = of_class(SCHED_CLASS_INTERACTIVE);
    in.latency = 5 * MS; /* the default rate is above the right */
    assert_int_equal(dis_intent_set(&t->ctx, &in, &rights, &res), HX_OK);
    assert_int_equal(res.verdict, HX_INTENT_BEST_EFFORT);
    in.rate = 50;
    assert_int_equal(dis_intent_set(&t->ctx, &in, &rights, &res), HX_OK);
    assert_int_equal(res.verdict, HX_INTENT_ADMITTED);
    sim_run(MS);
    sim_fini();
}

static void refusal_names_the_largest_wcet_that_fits(void **state)
{
    struct hx_intent in = realtime(5 * MS, 0, 10 * MS);
    struct hx_intent_result res;
    struct sim_task *a, *b;
    (void)state;
    machine_of(1);
    a = hog("a", NULL);
    b = hog("b", NULL);
    assert_int_equal(sim_task_intent(a, &in, &res), HX_OK);
    assert_int_equal(res.slack, 4 * MS); /* 90 % is Realtime's at most */
    assert_int_equal(sim_task_intent(b, &in, &res), HX_ERR_NO_FIT);
    assert_int_equal(res.max_wcet, 4 * MS);
    in.wcet = res.max_wcet;
    assert_int_equal(sim_task_intent(b, &in, &res), HX_OK);
    assert_int_equal(res.slack, 0);
    sim_fini();
}

/* Time that was used is not free again before its deadline: else whoever asks again and again
 * could collect a fresh budget each time. */
static void asking_again_does_not_give_a_second_budget(void **state)
{
    struct hx_intent in = realtime(4 * MS, 0, 10 * MS), batch = of_class(SCHED_CLASS_BATCH);
    struct sim_task *greedy, *honest;
    u64 used;
    (void)state;
    machine_of(1);
    greedy = hog("greedy", NULL);
    honest = hog("rival", NULL);
    for (u32 i = 0; i < 200; i++) {
        in.wcet = (3 + i % 2) * MS;
        assert_int_equal(sim_task_intent(greedy, &in, NULL), HX_OK);
        sim_run(sim_now() + MS);
    }
    used = exec_of(greedy);
    /* 40 % by right, and its fair share of the rest only after its budget; 200 ms in all. */
    assert_true(used <= 200 * MS * 45 / 100);
    assert_true(exec_of(honest) >= 200 * MS / 2);
    assert_int_equal(sim_task_intent(greedy, &batch, NULL), HX_OK);
    in.wcet = 9 * MS; /* what greedy has used still counts */
    assert_int_equal(sim_task_intent(honest, &in, NULL), HX_ERR_NO_FIT);
    sim_run(sim_now() + 20 * MS);
    assert_int_equal(sim_task_intent(honest, &in, NULL), HX_OK);
    sim_fini();
}

static void interactive_reservation_yields_to_realtime(void **state)
{
    struct hx_intent ia = of_class(SCHED_CLASS_INTERACTIVE), rt = realtime(9 * MS, 0, 10 * MS);
    struct hx_intent_result res;
    struct sim_task *a, *b;
    (void)state;
    machine_of(1);
    a = hog("a", NULL);
    b = hog("b", NULL);
    ia.latency = 2 * MS;
    assert_int_equal(sim_task_intent(a, &ia, &res), HX_OK);
    assert_int_equal(res.verdict, HX_INTENT_ADMITTED);
    assert_int_equal(sim_task_intent(b, &rt, &res), HX_OK);
    assert_true((a->ctx.flags & DIS_CTX_ADMITTED) == 0);
    sim_run(100 * MS);
    assert_int_equal(dis.misses, 0);
    sim_fini();
}

/* ---- budgets ---- */

static void hard_overrun_waits_for_the_next_period(void **state)
{
    struct hx_intent in = realtime(2 * MS, 0, 10 * MS);
    struct sim_task *liar, *other;
    (void)state;
    in.flags = HX_INTENT_HARD;
    machine_of(1);
    liar = hog("liar", NULL);
    other = hog("other", NULL);
    assert_int_equal(sim_task_intent(liar, &in, NULL), HX_OK);
    sim_run(1000 * MS);
    assert_int_equal(exec_of(liar), 200 * MS);
    assert_int_equal(exec_of(other), 800 * MS);
    assert_in_range(liar->ctx.acct.overruns, 99, 100);
    sim_fini();
}

static void interactive_without_tokens_is_an_ordinary_task(void **state)
{
    struct hx_intent in = of_class(SCHED_CLASS_INTERACTIVE);
    struct sim_task *greedy, *other;
    (void)state;
    in.latency = MS;
    machine_of(1);
    greedy = hog("greedy", NULL);
    other = hog("other", NULL);
    assert_int_equal(sim_task_intent(greedy, &in, NULL), HX_OK);
    sim_run(1000 * MS);
    assert_in_range(exec_of(greedy), 495 * MS, 505 * MS);
    assert_in_range(exec_of(other), 495 * MS, 505 * MS);
    sim_fini();
}

static void system_class_is_bounded_but_served(void **state)
{
    struct hx_intent sys = of_class(SCHED_CLASS_SYSTEM), rt = realtime(9 * MS, 0, 10 * MS);
    struct sim_task *s, *r;
    (void)state;
    machine_of(1);
    s = hog("system", NULL);
    r = hog("rt", NULL);
    r->program = sim_program_periodic;
    r->vars[0] = 10 * MS;
    r->vars[1] = 9 * MS;
    assert_int_equal(sim_task_intent(s, &sys, NULL), HX_OK);
    assert_int_equal(sim_task_intent(r, &rt, NULL), HX_OK);
    sim_run(1000 * MS);
    assert_int_equal(dis.misses, 0);
    assert_true(exec_of(s) >= 50 * MS);
    sim_fini();
}

/* ---- groups ---- */

static void group_weight_counts_not_its_number_of_tasks(void **state)
{
    struct dis_group_params p = {0};
    struct dis_group *one, *many;
    struct dis_group_stats st;
    (void)state;
    machine_of(1);
    assert_int_equal(dis_group_create(NULL, &p, &one), HX_OK);
    assert_int_equal(dis_group_create(NULL, &p, &many), HX_OK);
    hog("one", one);
    for (int i = 0; i < 20; i++) {
        hog("many", many);
    }
    sim_run(1000 * MS);
    sim_settle();
    dis_group_stats(one, &st);
    assert_in_range(st.exec_ns, 494 * MS, 506 * MS);
    assert_int_equal(dis_group_destroy(one), HX_ERR_BUSY);
    sim_fini();
}

static void group_minimum_that_does_not_fit_is_refused(void **state)
{
    struct dis_group_params p = {.min_permille = 950}, twice = {.min_permille = 500};
    struct dis_group *g, *h;
    (void)state;
    machine_of(1);
    assert_int_equal(dis_group_create(NULL, &p, &g), HX_ERR_NO_FIT);
    assert_int_equal(dis_group_create(NULL, &twice, &g), HX_OK);
    assert_int_equal(dis_group_create(NULL, &twice, &h), HX_ERR_NO_FIT);
    p.min_permille = 800;
    p.max_permille = 400;
    assert_int_equal(dis_group_create(NULL, &p, &h), HX_ERR_INVALID);
    assert_int_equal(dis_group_destroy(g), HX_OK);
    assert_int_equal(dis_group_create(NULL, &twice, &h), HX_OK);
    for (u32 i = 2; i < DIS_GROUP_DEPTH_MAX + 1; i++) {
        p = (struct dis_group_params){0};
        assert_int_equal(dis_group_create(h, &p, &h), HX_OK);
    }
    assert_int_equal(dis_group_create(h, &p, &h), HX_ERR_LOOP);
    sim_fini();
}

/* ---- donation ---- */

static struct sim_mutex mutex;

/* Low takes the mutex early and works 5 ms under it; High wants it every 20 ms for 1 ms. */
static struct sim_step low_program(struct sim_task *t)
{
    switch (t->vars[0]++ % 4) {
    case 0:
        return (struct sim_step){sim_mutex_lock(&mutex, t) ? SIM_GO_ON : SIM_BLOCK, 0};
    case 1:
        return (struct sim_step){SIM_RUN, 5 * MS};
    case 2:
        sim_mutex_unlock(&mutex, t);
        return (struct sim_step){SIM_GO_ON, 0};
    default:
        return (struct sim_step){SIM_SLEEP, sim_now() + 7 * MS};
    }
}

static struct sim_step high_program(struct sim_task *t)
{
    switch (t->vars[0]++ % 4) {
    case 0:
        return (struct sim_step){sim_mutex_lock(&mutex, t) ? SIM_GO_ON : SIM_BLOCK, 0};
    case 1:
        return (struct sim_step){SIM_RUN, MS};
    case 2:
        sim_mutex_unlock(&mutex, t);
        return (struct sim_step){SIM_GO_ON, 0};
    default:
        t->vars[1] += 20 * MS;
        return (struct sim_step){SIM_SLEEP, t->vars[1]};
    }
}

static void mutex_holder_runs_on_the_waiters_budget(void **state)
{
    struct hx_intent in = realtime(7 * MS, 0, 20 * MS);
    struct sim_task *high, *low;
    (void)state;
    machine_of(1);
    memset(&mutex, 0, sizeof(mutex));
    low = sim_task_create("low", low_program, NULL, NULL, 0);
    high = sim_task_create("high", high_program, NULL, NULL, 0);
    for (int i = 0; i < 16; i++) { /* without donation low would have a seventeenth */
        hog("load", NULL);
    }
    assert_int_equal(sim_task_intent(high, &in, NULL), HX_OK);
    sim_run(2000 * MS);
    assert_int_equal(high->ctx.acct.misses, 0);
    assert_true(high->ctx.acct.wakes > 90);
    assert_true(low->ctx.acct.donated_in_ns > 10 * MS);
    assert_int_equal(low->ctx.acct.donated_in_ns, high->ctx.acct.donated_out_ns);
    sim_fini();
}

static void donation_refuses_cycles_and_long_chains(void **state)
{
    static struct dis_runner r[40];
    (void)state;
    machine_of(1);
    for (int i = 0; i < 40; i++) {
        dis_runner_init(&r[i], NULL, NULL);
        r[i].ready = true;
    }
    assert_int_equal(dis_donate_begin(&r[0], &r[1]), HX_OK);
    assert_int_equal(dis_donate_begin(&r[0], &r[2]), HX_ERR_BAD_STATE);
    assert_int_equal(dis_donate_begin(&r[1], &r[0]), HX_ERR_DEADLOCK);
    assert_int_equal(dis_donate_begin(&r[2], &r[2]), HX_ERR_DEADLOCK);
    assert_int_equal(dis_donate_begin(&r[1], &r[2]), HX_OK);
    assert_int_equal(dis_donate_begin(&r[2], &r[0]), HX_ERR_DEADLOCK);
    for (int i = 2; i < 16; i++) {
        assert_int_equal(dis_donate_begin(&r[i], &r[i + 1]), HX_OK);
    }
    assert_int_equal(dis_donate_begin(&r[16], &r[17]), HX_ERR_LOOP);
    dis_donate_end(&r[0]);
    assert_int_equal(dis_donate_begin(&r[16], &r[17]), HX_OK);
    assert_int_equal(dis_donate_begin(&r[0], &r[1]), HX_ERR_LOOP);
    dis_runner_fini(&r[8]);
    assert_int_equal(dis_donate_begin(&r[0], &r[1]), HX_OK);
    sim_fini();
}

/* Random lending among tasks that run, sleep and die: no crash, nobody lost, graph intact. */
static struct sim_task *party[24];

static struct sim_step fuzz_program(struct sim_task *t)
{
    switch (sim_random_below(6)) {
    case 0:
        return (struct sim_step){SIM_SLEEP, sim_now() + 1 + sim_random_below(3 * MS)};
    case 1: {
        struct sim_task *to = party[sim_random_below(HX_ARRAY_SIZE(party))];
        if (to->alive && dis_donate_begin(&t->runner, &to->runner) == HX_OK) {
            return (struct sim_step){SIM_BLOCK, 0};
        }
        return (struct sim_step){SIM_RUN, 1000};
    }
    case 2:
        return (struct sim_step){SIM_YIELD, 0};
    default:
        return (struct sim_step){SIM_RUN, 1 + sim_random_below(2 * MS)};
    }
}

static void fuzz_release(void *arg)
{
    (void)arg;
    for (u32 i = 0; i < 4; i++) {
        struct sim_task *t = party[sim_random_below(HX_ARRAY_SIZE(party))];
        if (t->alive && t->runner.lent_to != NULL) {
            t->blocked = false;
            dis_donate_end(&t->runner);
        }
    }
    sim_call_at(sim_now() + 1 + sim_random_below(4 * MS), fuzz_release, NULL);
}

static void donation_survives_random_graphs(void **state)
{
    (void)state;
    for (u32 seed = 0; seed < 12; seed++) {
        machine_of(1u << seed % 3);
        sim_seed(seed);
        for (u32 i = 0; i < HX_ARRAY_SIZE(party); i++) {
            struct hx_intent in = realtime(MS, 0, (20 + i) * MS);
            party[i] = sim_task_create("party", fuzz_program, NULL, NULL, 0);
            if (i % 3 == 0) {
                assert_int_equal(sim_task_intent(party[i], &in, NULL), HX_OK);
            }
        }
        sim_call_at(MS, fuzz_release, NULL);
        sim_run(1000 * MS);
        for (u32 i = 0; i < HX_ARRAY_SIZE(party); i++) {
            assert_true(exec_of(party[i]) + party[i]->ctx.acct.donated_out_ns > 0);
        }
        sim_fini();
    }
}

/* ---- several CPUs ---- */

static void affinity_is_always_honoured(void **state)
{
    struct sim_task *t[8];
    (void)state;
    machine_of(4);
    for (u32 i = 0; i < 8; i++) {
        t[i] = hog("t", NULL);
    }
    for (u32 step = 0; step < 300; step++) {
        u32 i = (u32)sim_random_below(8);
        u64 mask = 1 + sim_random_below(15);
        assert_int_equal(dis_affinity_set(&t[i]->ctx, mask), HX_OK);
        sim_run(sim_now() + 1 + sim_random_below(5 * MS));
        for (u32 cpu = 0; cpu < 4; cpu++) {
            struct sim_task *r = sim_running(cpu);
            assert_true(r == NULL || (r->ctx.affinity >> cpu & 1) != 0);
        }
        dis_housekeep(sim_now());
    }
    assert_int_equal(dis_affinity_set(&t[0]->ctx, 0), HX_ERR_INVALID);
    assert_int_equal(dis_affinity_set(&t[0]->ctx, HX_BIT(9)), HX_ERR_INVALID);
    sim_fini();
}

static void cpu_goes_off_line_and_back_without_loss(void **state)
{
    struct hx_intent in = realtime(6 * MS, 0, 10 * MS);
    struct sim_task *rt[2], *t[9];
    u32 id;
    (void)state;
    machine_of(3);
    for (u32 i = 0; i < 9; i++) {
        t[i] = hog("t", NULL);
    }
    for (u32 i = 0; i < 2; i++) {
        rt[i] = sim_task_create("rt", sim_program_periodic, NULL, NULL, 0);
        rt[i]->vars[0] = 10 * MS;
        rt[i]->vars[1] = 6 * MS;
        assert_int_equal(sim_task_intent(rt[i], &in, NULL), HX_OK);
    }
    sim_run(50 * MS);
    for (u32 round = 0; round < 40; round++) {
        u32 cpu = round % 3;
        assert_int_equal(dis_cpu_offline(cpu, &id), HX_OK);
        sim_run(sim_now() + 25 * MS);
        assert_null(sim_running(cpu));
        assert_int_equal(dis_cpu_offline((cpu + 1) % 3, &id), HX_ERR_NO_FIT);
        assert_true(id == rt[0]->ctx.id || id == rt[1]->ctx.id);
        assert_int_equal(dis_cpu_online(cpu), HX_OK);
        sim_run(sim_now() + 25 * MS);
    }
    for (u32 i = 0; i < 9; i++) {
        assert_true(exec_of(t[i]) > 100 * MS);
    }
    sim_fini();
}

/* ---- statistics and advice ---- */

static void statistics_page_is_versioned_and_adds_up(void **state)
{
    static struct dis_stats_page page, copy;
    u64 busy = 0;
    (void)state;
    machine_of(1);
    memset(&page, 0, sizeof(page));
    hog("a", NULL);
    hog("b", NULL);
    sim_run(100 * MS);
    dis_stats_publish(&page, sim_now());
    assert_int_equal(dis_stats_read(&page, &copy), HX_OK);
    assert_int_equal(copy.version, DIS_STATS_VERSION);
    assert_string_equal(copy.policy, "fair");
    for (u32 i = 0; i < DIS_LAYER_COUNT; i++) {
        busy += copy.rq[0].busy_ns[i];
    }
    assert_int_equal(busy, 100 * MS);
    page.sequence++; /* a writer at work */
    assert_int_equal(dis_stats_read(&page, &copy), HX_ERR_BUSY);
    sim_fini();
}

static void optimizer_advises_and_lets_go(void **state)
{
    struct hx_intent ia = of_class(SCHED_CLASS_INTERACTIVE);
    struct sim_task *brief, *greedy;
    (void)state;
    machine_of(1);
    brief = sim_task_create("brief", sim_program_periodic, NULL, NULL, 0);
    brief->vars[0] = 10 * MS;
    brief->vars[1] = 200 * US;
    greedy = sim_task_create("greedy", sim_program_periodic, NULL, NULL, 0);
    greedy->vars[0] = 10 * MS;
    greedy->vars[1] = 9700 * US;
    ia.latency = 5 * MS;
    assert_int_equal(sim_task_intent(greedy, &ia, NULL), HX_OK);
    sim_run(1000 * MS);
    assert_int_equal(dis_opt_advice(&brief->ctx), DIS_ADVICE_INTERACTIVE);
    assert_int_equal(dis_opt_advice(&greedy->ctx), DIS_ADVICE_NOT_INTERACTIVE);
    assert_true(brief->ctx.slice_ns < brief->ctx.user_slice_ns);
    dis_opt_enable(false);
    sim_run(1100 * MS);
    assert_int_equal(brief->ctx.slice_ns, brief->ctx.user_slice_ns);
    sim_fini();
}

/* ---- policy fair against its definition, all small cases ---- */

static void fair_picks_as_the_definition_says(void **state)
{
    (void)state;
    for (u32 seed = 0; seed < 300; seed++) {
        static struct sched_ctx ctxs[12];
        struct sched_queue q = {0};
        u32 n = 2 + seed % 11, best;
        machine_of(1);
        sim_seed(seed);
        for (u32 i = 0; i < n; i++) {
            assert_int_equal(dis_ctx_create(&ctxs[i], NULL, 0), HX_OK);
            dis_ctx_weight_set(&ctxs[i], 16u << sim_random_below(12));
            ctxs[i].slice_ns = SCHED_SLICE_MIN_NS * (1 + sim_random_below(100));
            q.nr++;
            dis_policy_fair.enqueue(&q, &ctxs[i], 0);
        }
        for (u32 step = 0; step < 60; step++) {
            /* v and deadline of each are in its policy words: aug.value and the key. */
            double sum = 0, weight = 0, v[12], d[12];
            for (u32 i = 0; i < n; i++) {
                struct dis_tree_aug *aug = (struct dis_tree_aug *)(void *)ctxs[i].policy;
                v[i] = (double)(s64)aug->value;
                d[i] = (double)(s64)aug->node.key;
                sum += v[i] * ctxs[i].weight;
                weight += ctxs[i].weight;
            }
            best = SCHED_ID_NONE;
            for (u32 i = 0; i < n; i++) {
                if (v[i] <= sum / weight + 0.5 && (best == SCHED_ID_NONE || d[i] < d[best])) {
                    best = i;
                }
            }
            u32 id = dis_policy_fair.pick(&q), k = 0;
            while (k < n && ctxs[k].id != id) {
                k++;
            }
            assert_true(k < n);
            assert_true(d[k] == d[best] || v[best] > sum / weight - 1.0);
            assert_true(dis_policy_fair.start(&q, &ctxs[k]) > 0);
            assert_true(dis_policy_fair.selfcheck(&q));
            dis_policy_fair.put(&q, &ctxs[k], 1 + sim_random_below(5 * MS),
                                sim_random_below(2) != 0 ? SCHED_PUT_SLICE : SCHED_PUT_PREEMPT);
            assert_true(dis_policy_fair.selfcheck(&q));
        }
        for (u32 i = 0; i < n; i++) {
            dis_policy_fair.dequeue(&q, &ctxs[i]);
            q.nr--;
            assert_true(dis_policy_fair.selfcheck(&q));
            dis_ctx_destroy(&ctxs[i]);
        }
        sim_fini();
    }
}

static void stop_context_goes_before_everything(void **state)
{
    struct hx_intent in = realtime(9 * MS, 0, 10 * MS);
    struct sim_task *stop, *rt;
    (void)state;
    machine_of(1);
    rt = hog("rt", NULL);
    assert_int_equal(sim_task_intent(rt, &in, NULL), HX_OK);
    stop = sim_task_create("stop", sim_program_periodic, NULL, NULL, 5 * MS);
    stop->vars[0] = 5 * MS;
    stop->vars[1] = 10 * US;
    dis_ctx_make_stop(&stop->ctx, 0);
    sim_run(1000 * MS);
    assert_int_equal(stop->ctx.acct.max_wake_ns, 0);
    assert_int_equal(exec_of(stop), 199 * 10 * US); /* at 5, 10, ... 995 ms */
    sim_fini();
}

static void ids_are_reused_and_never_wild(void **state)
{
    static struct sched_ctx ctxs[3000];
    (void)state;
    machine_of(1);
    for (int round = 0; round < 3; round++) {
        for (u32 i = 0; i < 3000; i++) {
            assert_int_equal(dis_ctx_create(&ctxs[i], NULL, 0), HX_OK);
            assert_ptr_equal(dis_ctx_find(ctxs[i].id), &ctxs[i]);
            assert_true(ctxs[i].id < 3100);
        }
        for (u32 i = 0; i < 3000; i++) {
            u32 id = ctxs[i].id;
            dis_ctx_destroy(&ctxs[i]);
            assert_null(dis_ctx_find(id));
        }
    }
    assert_null(dis_ctx_find(SCHED_ID_NONE));
    assert_null(dis_ctx_find(DIS_IDS_MAX));
    sim_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_keeps_order_balance_and_minimum),
        cmocka_unit_test(intent_with_bad_fields_is_refused_and_changes_nothing),
        cmocka_unit_test(rights_limit_what_can_be_reserved),
        cmocka_unit_test(refusal_names_the_largest_wcet_that_fits),
        cmocka_unit_test(asking_again_does_not_give_a_second_budget),
        cmocka_unit_test(interactive_reservation_yields_to_realtime),
        cmocka_unit_test(hard_overrun_waits_for_the_next_period),
        cmocka_unit_test(interactive_without_tokens_is_an_ordinary_task),
        cmocka_unit_test(system_class_is_bounded_but_served),
        cmocka_unit_test(group_weight_counts_not_its_number_of_tasks),
        cmocka_unit_test(group_minimum_that_does_not_fit_is_refused),
        cmocka_unit_test(mutex_holder_runs_on_the_waiters_budget),
        cmocka_unit_test(donation_refuses_cycles_and_long_chains),
        cmocka_unit_test(donation_survives_random_graphs),
        cmocka_unit_test(affinity_is_always_honoured),
        cmocka_unit_test(cpu_goes_off_line_and_back_without_loss),
        cmocka_unit_test(statistics_page_is_versioned_and_adds_up),
        cmocka_unit_test(optimizer_advises_and_lets_go),
        cmocka_unit_test(fair_picks_as_the_definition_says),
        cmocka_unit_test(stop_context_goes_before_everything),
        cmocka_unit_test(ids_are_reused_and_never_wild),
    };
    return cmocka_run_group_tests_name("dis", tests, NULL, NULL);
}
