/* SPDX-License-Identifier: MIT */
/* Intents of threads: the system calls, the right to be Realtime, and the shell's commands.
 * Owns:      rights and what is reserved by each.      Context: thread.
 * Locks:     rights.lock around a reservation and its account; the scheduler's own below it.
 * Invariant: (1) right.used is the sum of right_permille over the threads whose right it is, each
 *            of which has a reference to it.
 */
#include <abi/intent.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/shell.h>
#include <core/syscall.h>
#include <core/sync.h>
#include <dis/intent.h>
#include <dis/optimizer.h>
#include <dis/policy.h>
#include <dis/stats.h>
#include <dis/task.h>
#include <execution/thread.h>
#include <hal/context.h>
#include <helix/bits.h>
#include <helix/string.h>

#define UNPRIVILEGED_PROMPT 200 /* permille: Interactive without any right */
#define UNPRIVILEGED_BURST  (2 * HX_NS_PER_MS)

struct realtime_right {
    struct object object; /* first */
    u32 permille;         /* I */
    u32 used;             /* rights.lock */
};

static struct {
    struct mutex lock;
} rights = {.lock = MUTEX_INIT(rights.lock)};

static void right_destroy(struct object *object)
{
    object_free(object);
}

enum hx_status realtime_right_create(u32 permille, struct object **out_object)
{
    struct realtime_right *right = kzalloc(sizeof(*right));
    if (!right) {
        return HX_ERR_NO_MEMORY;
    }
    object_init(&right->object, HX_OBJECT_REALTIME_RIGHT, right_destroy);
    right->permille = permille;
    *out_object = &right->object;
    return HX_OK;
}

/* rights.lock is held. inv 1 */
static void account(struct thread *thread, struct realtime_right *right, u32 permille)
{
    struct realtime_right *before = thread->right;
    if (right) {
        object_get(&right->object);
        right->used += permille;
    }
    if (before) {
        before->used -= thread->right_permille;
        object_put(&before->object);
    }
    thread->right = right;
    thread->right_permille = permille;
}

void thread_right_release(struct thread *thread)
{
    if (thread->right) {
        mutex_acquire(&rights.lock);
        account(thread, NULL, 0);
        mutex_release(&rights.lock);
    }
}

/* Of a CPU, rounded up: what is declared of an intent that has been checked. */
static u32 permille_of(const struct hx_intent *in)
{
    return (u32)hx_mul_div(in->wcet, 1000, in->period) + 1;
}

static enum hx_status thread_intent_set(struct thread *thread, const struct hx_intent *intent,
                                        struct realtime_right *right,
                                        struct hx_intent_result *result)
{
    struct hx_intent in = *intent;
    struct dis_rights may = {.prompt_permille = UNPRIVILEGED_PROMPT,
                             .burst_max = UNPRIVILEGED_BURST};
    enum hx_status status = dis_intent_check(&in, &result->reason);
    if (status != HX_OK) {
        return status;
    }
    bool realtime = in.cls == HX_CLASS_REALTIME;
    if (realtime && !right) {
        result->reason = HX_REASON_LIMIT;
        return HX_ERR_ACCESS;
    }
    mutex_acquire(&rights.lock);
    if (realtime) {
        u32 own = thread->right == right ? thread->right_permille : 0;
        may.rt_permille = right->permille - (right->used - own);
    }
    status = dis_intent_set(&thread->task->own, intent, &may, result);
    if (status == HX_OK) {
        account(thread, realtime ? right : NULL, realtime ? permille_of(&in) : 0);
    }
    mutex_release(&rights.lock);
    return status;
}

s64 sys_intent_set(u64 thread, u64 intent_at, u64 result_at, u64 right, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    struct handle_table *handles = &process_current()->handles;
    struct thread *self = task_current()->owner;
    struct object *target = &self->object, *by = NULL;
    struct hx_intent_result result = {.size = sizeof(result), .verdict = HX_INTENT_REFUSED};
    struct hx_intent intent;
    enum hx_status status = user_copy_in(&intent, intent_at, sizeof(intent));
    if (status != HX_OK) {
        return status;
    }
    if (thread > UINT32_MAX || right > UINT32_MAX) {
        return HX_ERR_BAD_HANDLE;
    }
    if (thread == 0) {
        object_get(target);
    } else {
        status =
            handle_get(handles, (hx_handle_t)thread, HX_OBJECT_THREAD, HX_RIGHT_ADMIN, &target);
        if (status != HX_OK) {
            return status;
        }
    }
    if (right != 0) {
        status =
            handle_get(handles, (hx_handle_t)right, HX_OBJECT_REALTIME_RIGHT, HX_RIGHT_WRITE, &by);
    }
    if (status == HX_OK) {
        status = thread_intent_set(HX_CONTAINER_OF(target, struct thread, object), &intent,
                                   by ? HX_CONTAINER_OF(by, struct realtime_right, object) : NULL,
                                   &result);
        enum hx_status copied = user_copy_out(result_at, &result, sizeof(result));
        status = copied == HX_OK ? status : copied;
    }
    if (by) {
        object_put(by);
    }
    object_put(target);
    return status;
}

/* statistics */

static enum hx_status stats_read(struct hx_sched_stats *out)
{
    struct dis_stats_page *page = kzalloc(sizeof(*page));
    if (!page) {
        return HX_ERR_NO_MEMORY;
    }
    _Static_assert(HX_ARRAY_SIZE(out->cpu[0].busy_ns) == DIS_LAYER_COUNT, "a figure a layer");
    dis_stats_publish(page, time_now_ns());
    *out = (struct hx_sched_stats){
        .version = HX_SCHED_STATS_VERSION,
        .size = sizeof(*out),
        .cpus = page->cpus,
        .policy_generation = page->policy_generation,
        .now_ns = page->now,
        .misses = page->misses,
        .overruns = page->overruns,
        .refused = page->refused,
        .admitted = page->admitted,
        .last_miss_ns = page->last_miss_ns,
        .last_overrun_ns = page->last_overrun_ns,
        .strikes = page->strikes,
        .ejections = page->ejections,
        .exchanges = page->exchanges,
    };
    HX_IGNORE(str_copy(out->policy, page->policy, sizeof(out->policy)), "it is as long");
    for (u32 cpu = 0; cpu < hx_min_u64(page->cpus, HX_ARRAY_SIZE(out->cpu)); cpu++) {
        const struct dis_rq_stats *rq = &page->rq[cpu];
        memcpy(out->cpu[cpu].switches, rq->switches, sizeof(rq->switches));
        memcpy(out->cpu[cpu].busy_ns, rq->busy_ns, sizeof(rq->busy_ns));
        out->cpu[cpu].steals = rq->steals;
        out->cpu[cpu].kicks = rq->kicks;
        out->cpu[cpu].timers = rq->timers;
        out->cpu[cpu].runnable = rq->nr_running;
    }
    kfree(page);
    return HX_OK;
}

s64 sys_sched_stats(u64 buffer_at, u64 length, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct hx_sched_stats *stats = kmalloc(sizeof(*stats));
    if (!stats) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = stats_read(stats);
    length = hx_min_u64(length, sizeof(*stats));
    if (status == HX_OK) {
        status = user_copy_out(buffer_at, stats, length);
    }
    kfree(stats);
    return status == HX_OK ? (s64)length : (s64)status;
}

/* shell */

static const char *const class_names[HX_CLASS_COUNT] = {
    [HX_CLASS_BATCH] = "batch",           [HX_CLASS_INTERACTIVE] = "interactive",
    [HX_CLASS_BACKGROUND] = "background", [HX_CLASS_SYSTEM] = "system",
    [HX_CLASS_REALTIME] = "realtime",
};

/* A number with ns, us, ms or s behind it, or nothing. */
static bool parse_time(const char *text, u64 *out_ns)
{
    static const struct {
        const char *unit;
        u64 ns;
    } units[] = {{"ns", 1}, {"us", HX_NS_PER_US}, {"ms", HX_NS_PER_MS}, {"s", HX_NS_PER_SEC}};
    char digits[24];
    size_t n = 0;
    while (text[n] >= '0' && text[n] <= '9' && n + 1 < sizeof(digits)) {
        digits[n] = text[n];
        n++;
    }
    digits[n] = '\0';
    u64 value;
    if (n == 0 || !str_to_u64(digits, &value)) {
        return false;
    }
    if (text[n] == '\0') {
        *out_ns = value;
        return true;
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(units); i++) {
        if (str_equal(text + n, units[i].unit)) {
            return hx_mul_checked(value, units[i].ns, out_ns);
        }
    }
    return false;
}

/* NAME=VALUE into the field of that name. */
static bool parse_param(const char *word, struct hx_intent *in)
{
    struct {
        const char *name;
        u64 *wide;
        u32 *narrow;
    } fields[] = {{"period=", &in->period, NULL},     {"deadline=", &in->deadline, NULL},
                  {"wcet=", &in->wcet, NULL},         {"latency=", &in->latency, NULL},
                  {"burst=", &in->burst, NULL},       {"slice=", &in->slice, NULL},
                  {"affinity=", &in->affinity, NULL}, {"rate=", NULL, &in->rate},
                  {"weight=", NULL, &in->weight}};
    if (str_equal(word, "hard") || str_equal(word, "pinned")) {
        in->flags |= *word == 'h' ? HX_INTENT_HARD : HX_INTENT_PINNED;
        return true;
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(fields); i++) {
        size_t n = strlen(fields[i].name);
        u64 value;
        if (strncmp(word, fields[i].name, n) != 0) {
            continue;
        }
        if (!parse_time(word + n, &value) || (fields[i].narrow && value > UINT32_MAX)) {
            return false;
        }
        if (fields[i].narrow) {
            *fields[i].narrow = (u32)value;
        } else {
            *fields[i].wide = value;
        }
        return true;
    }
    return false;
}

static int print_result(enum hx_status status, const struct hx_intent_result *r, bool json)
{
    static const char *const verdicts[] = {"admitted", "best effort", "refused"};
    if (json) {
        shell_printf("{\"verdict\":\"%s\",\"reason\":\"%s\",\"cpu\":%u,\"pieces\":%u,"
                     "\"slack_ns\":%lu,\"max_wcet_ns\":%lu}\n",
                     verdicts[r->verdict], dis_reason_words(r->reason), r->cpu, r->pieces, r->slack,
                     r->max_wcet);
    } else if (r->verdict == HX_INTENT_ADMITTED) {
        shell_printf("admitted on CPU %u, slack %lu ns\n", r->cpu, r->slack);
    } else {
        shell_printf("%s: %s", verdicts[r->verdict], dis_reason_words(r->reason));
        shell_printf(r->max_wcet ? "; a wcet of %lu ns would fit\n" : "\n", r->max_wcet);
    }
    return status == HX_OK ? SHELL_OK : SHELL_FAILED;
}

static int set_intent(const char *id_text, const struct hx_intent *in, bool json)
{
    struct hx_intent_result result;
    u64 id;
    struct task *task = str_to_u64(id_text, &id) ? task_find(id) : NULL;
    if (!task) {
        shell_printf("intent: no task %s\n", id_text);
        return SHELL_FAILED;
    }
    enum hx_status status = dis_intent_set(&task->own, in, &dis_rights_all, &result);
    task_put(task);
    return print_result(status, &result, json);
}

static int command_intent(int argc, char **argv)
{
    struct hx_intent in = {.size = sizeof(in), .cls = HX_CLASS_COUNT};
    bool json = shell_has_option(argc, argv, "--json");
    if (argc < 3) {
        return shell_usage("intent");
    }
    for (u32 i = 0; i < HX_CLASS_COUNT; i++) {
        in.cls = str_equal(argv[2], class_names[i]) ? i : in.cls;
    }
    for (int i = 3; i < argc; i++) {
        if (!str_equal(argv[i], "--json") && !parse_param(argv[i], &in)) {
            shell_printf("intent: what is %s?\n", argv[i]);
            return shell_usage("intent");
        }
    }
    return in.cls == HX_CLASS_COUNT ? shell_usage("intent") : set_intent(argv[1], &in, json);
}

/* Weights by steps of a quarter, as the levels are elsewhere: one level is about 10 % of a CPU
 * between two that compete. */
static int command_nice(int argc, char **argv)
{
    struct hx_intent in = {.size = sizeof(in), .cls = HX_CLASS_BATCH, .weight = SCHED_WEIGHT_UNIT};
    bool lower = argc == 3 && *argv[2] == '-';
    u64 level;
    if (argc != 3 || !str_to_u64(argv[2] + lower, &level) || level > 20) {
        return shell_usage("nice");
    }
    for (; level != 0; level--) {
        in.weight = lower ? in.weight * 5 / 4 : hx_max_u64(in.weight * 4 / 5, SCHED_WEIGHT_MIN);
    }
    return set_intent(argv[1], &in, false);
}

static int print_policies(bool json)
{
    HX_SET_FOREACH (sched_policies, it) {
        bool now = *it == dis_policy_current();
        shell_printf(json ? "{\"policy\":\"%s\",\"serves\":%s}\n" : "%-12s %s\n", (*it)->name,
                     json ? (now ? "true" : "false") : (now ? "serves" : ""));
    }
    if (dis_policy_current() == &dis_policy_builtin) {
        shell_printf(json ? "{\"policy\":\"builtin\",\"serves\":true,\"ejected\":\"%s\"}\n"
                          : "builtin      serves; the one before was ejected: %s\n",
                     dis_policy_ejected());
    }
    return SHELL_OK;
}

static int choose_policy(const char *name)
{
    u64 end = time_now_ns() + HX_NS_PER_SEC;
    enum hx_status status = sched_policy_set(name);
    while (status == HX_ERR_BUSY && time_now_ns() < end) {
        dis_policy_settle();
        task_yield();
        status = sched_policy_set(name);
    }
    if (status != HX_OK) {
        shell_printf("sched: %s: %s\n", name, hx_status_words(status));
    }
    return status == HX_OK ? SHELL_OK : SHELL_FAILED;
}

static int print_stats(bool json)
{
    static const char *const layers[] = {"stop", "deadline", "prompt", "fair", "idle-work", "idle"};
    struct hx_sched_stats *s = kmalloc(sizeof(*s));
    enum hx_status status = s ? stats_read(s) : HX_ERR_NO_MEMORY;
    if (status != HX_OK) {
        kfree(s);
        shell_printf("sched: %s\n", hx_status_words(status));
        return SHELL_FAILED;
    }
    shell_printf(json ? "{\"policy\":\"%s\",\"exchanges\":%u,\"strikes\":%u,\"ejections\":%u,"
                        "\"admitted\":%lu,\"refused\":%lu,\"misses\":%lu,\"overruns\":%lu}\n"
                      : "policy %s, %u exchanges, %u strikes, %u ejections\n"
                        "intents: %lu admitted, %lu refused; %lu deadlines missed, %lu overruns\n",
                 s->policy, s->exchanges, s->strikes, s->ejections, s->admitted, s->refused,
                 s->misses, s->overruns);
    for (u32 cpu = 0; cpu < hx_min_u64(s->cpus, HX_ARRAY_SIZE(s->cpu)); cpu++) {
        shell_printf(json ? "{\"cpu\":%u,\"runnable\":%u,\"steals\":%lu,\"timers\":%lu}\n"
                          : "CPU %u: %u runnable, %lu taken from others, %lu timers\n",
                     cpu, s->cpu[cpu].runnable, s->cpu[cpu].steals, s->cpu[cpu].timers);
        for (u32 i = 0; i < HX_ARRAY_SIZE(layers); i++) {
            u64 switches = s->cpu[cpu].switches[i], ns = s->cpu[cpu].busy_ns[i];
            if (json) {
                shell_printf("{\"cpu\":%u,\"layer\":\"%s\",\"switches\":%lu,\"busy_ns\":%lu}\n",
                             cpu, layers[i], switches, ns);
            } else {
                shell_printf("  %-10s %10lu switches %16lu ns\n", layers[i], switches, ns);
            }
        }
    }
    kfree(s);
    return SHELL_OK;
}

static int command_sched(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    int n = argc - json;
    if (n == 1 || (n == 2 && str_equal(argv[1], "stats"))) {
        return print_stats(json);
    }
    if (n == 2 && str_equal(argv[1], "policy")) {
        return print_policies(json);
    }
    if (n == 3 && str_equal(argv[1], "policy")) {
        return choose_policy(argv[2]);
    }
    return shell_usage("sched");
}

SHELL_COMMAND(
    intent, "intent", "TASK CLASS [NAME=VALUE...] [hard] [pinned] [--json]",
    "say what a task is for",
    "CLASS: batch, interactive, background, system, realtime. realtime: period wcet\n"
    "deadline; interactive: latency burst rate; the others: weight slice; all: affinity.\n"
    "Times are ns, or end in us, ms, s. Says what was admitted, or what would fit.",
    command_intent);
SHELL_COMMAND(nice, "nice", "TASK LEVEL", "a larger (-20) or smaller (20) share for a batch task",
              "", command_nice);
SHELL_COMMAND(sched, "sched", "[stats | policy [NAME]] [--json]",
              "the scheduler's figures, its policies, and to choose one", "", command_sched);
