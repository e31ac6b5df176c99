/* SPDX-License-Identifier: MIT */
/* dis-sim: runs a workload file on simulated CPUs under the kernel's own scheduler, and says what
 * each task got. See README.md beside this file.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workload.h"

static const char usage[] =
    "usage: dis-sim [OPTIONS] WORKLOAD.json\n"
    "Runs the workload on simulated CPUs under the kernel's own scheduler.\n"
    "\n"
    "  --cpus N          simulated CPUs, 1 to 64 (default 1)\n"
    "  --seconds T       simulated time (default: the file's duration, else 10)\n"
    "  --seed S          of what is random (default 1); the same seed gives the same run\n"
    "  --policy NAME     of the fair layers: fair (default), round_robin, fifo, edf_soft\n"
    "  --switch-cost NS  what a context switch takes, and admission counts (default 0)\n"
    "  --irq-cost NS     what a timer interrupt takes, and admission counts (default 0)\n"
    "  --no-optimizer    slices stay as asked for\n"
    "  --check N         all invariants after every N events (default 1; 0: never)\n"
    "  --trace FILE      Chrome/Perfetto JSON of everything that happened\n"
    "  --svg FILE        timeline of the first --svg-ms MS milliseconds (default 100)\n"
    "  --json            one JSON object a task, and one for the run\n"
    "  --help            this page\n"
    "\n"
    "Workloads are rt-app's JSON; a task may have an \"intent\" with a class of batch,\n"
    "interactive, background, system or realtime. Exit status: 0; 1 the workload is wrong or\n"
    "was refused; 2 the command line is wrong; 3 an admitted deadline was missed.\n";

static const char *const class_names[SCHED_CLASS_COUNT] = {"batch", "interactive", "background",
                                                           "system", "realtime"};

static const struct sched_policy_ops *const policies[] = {&dis_policy_fair, &dis_policy_round_robin,
                                                          &dis_policy_fifo, &dis_policy_edf_soft};

static struct {
    struct sim_options sim;
    const char *workload, *trace, *svg;
    u64 seed;
    double seconds, svg_ms;
    bool json, optimizer;
} args = {.seed = 1, .svg_ms = 100, .optimizer = true};

static bool number_of(const char *text, double low, double high, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= low && *out <= high;
}

static bool parse_value(const char *name, const char *value)
{
    double v = 0;
    if (strcmp(name, "--cpus") == 0 && number_of(value, 1, SCHED_CPUS_MAX, &v)) {
        args.sim.config.cpus = (u32)v;
    } else if (strcmp(name, "--seconds") == 0 && number_of(value, 0.001, 1e6, &v)) {
        args.seconds = v;
    } else if (strcmp(name, "--seed") == 0 && number_of(value, 0, 9e15, &v)) {
        args.seed = (u64)v;
    } else if (strcmp(name, "--switch-cost") == 0 && number_of(value, 0, 1e6, &v)) {
        args.sim.switch_cost = args.sim.config.switch_ns = (u64)v;
    } else if (strcmp(name, "--irq-cost") == 0 && number_of(value, 0, 1e6, &v)) {
        args.sim.irq_cost = (u64)v;
        args.sim.config.irq_ns = 2 * (u64)v; /* a release and a budget's end */
    } else if (strcmp(name, "--check") == 0 && number_of(value, 0, 1e9, &v)) {
        args.sim.check_every = (u32)v;
    } else if (strcmp(name, "--svg-ms") == 0 && number_of(value, 0.001, 1e6, &v)) {
        args.svg_ms = v;
    } else if (strcmp(name, "--trace") == 0) {
        args.trace = value;
    } else if (strcmp(name, "--svg") == 0) {
        args.svg = value;
    } else if (strcmp(name, "--policy") == 0) {
        for (size_t i = 0; i < HX_ARRAY_SIZE(policies); i++) {
            if (strcmp(policies[i]->name, value) == 0) {
                args.sim.policy = policies[i];
                return true;
            }
        }
        return false;
    } else {
        return false;
    }
    return true;
}

static bool parse_args(int argc, char **argv)
{
    args.sim.config = DIS_CONFIG_DEFAULT(1);
    args.sim.check_every = 1;
    args.sim.housekeep = 100 * HX_NS_PER_MS;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            exit(0);
        } else if (strcmp(argv[i], "--json") == 0) {
            args.json = true;
        } else if (strcmp(argv[i], "--no-optimizer") == 0) {
            args.optimizer = false;
        } else if (argv[i][0] == '-') {
            if (i + 1 == argc || !parse_value(argv[i], argv[i + 1])) {
                fprintf(stderr, "dis-sim: %s: no such option, or a value it cannot have\n",
                        argv[i]);
                return false;
            }
            i++;
        } else if (args.workload == NULL) {
            args.workload = argv[i];
        } else {
            fprintf(stderr, "dis-sim: one workload at a time\n");
            return false;
        }
    }
    if (args.workload == NULL) {
        fputs(usage, stderr);
        return false;
    }
    args.sim.trace = args.trace != NULL || args.svg != NULL;
    return true;
}

static char *read_file(const char *path, size_t *out_size)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, room = 0, got;
    if (f == NULL) {
        return NULL;
    }
    do {
        if (room - size < 4096) {
            char *more = realloc(text, room = room * 2 + 8192);
            if (more == NULL || room > 64u << 20) {
                free(more == NULL ? text : more);
                fclose(f);
                return NULL;
            }
            text = more;
        }
        got = fread(text + size, 1, room - size, f);
        size += got;
    } while (got != 0);
    fclose(f);
    *out_size = size;
    return text;
}

/* Upper edge of the bucket in which the p-th of all samples lies, in us. */
static u64 percentile(const u32 *hist, double p)
{
    u64 total = 0, seen = 0;
    for (u32 i = 0; i < DIS_HIST_BUCKETS; i++) {
        total += hist[i];
    }
    for (u32 i = 0; i < DIS_HIST_BUCKETS; i++) {
        seen += hist[i];
        if (total != 0 && (double)seen >= p * (double)total) {
            return i == 0 ? 1 : 1ull << i;
        }
    }
    return 0;
}

static void report_task(struct sim_task *t, double seconds)
{
    struct sched_account a;
    enum dis_advice advice = dis_opt_advice(&t->ctx);
    const u32 *wake = t->ctx.hist->wake;
    dis_stats_ctx(&t->ctx, sim_now(), &a);
    double share = (double)a.exec_ns / seconds / 1e9;
    if (args.json) {
        printf("{\"task\":\"%s\",\"class\":\"%s\",\"cpu\":%u,\"share\":%.6f,\"wakes\":%u,"
               "\"wake_p50_us\":%" PRIu64 ",\"wake_p99_us\":%" PRIu64 ",\"wake_max_ns\":%" PRIu64
               ",\"switches\":%u,\"preempted\":%u,\"migrations\":%u,\"misses\":%u,\"overruns\":%u,"
               "\"tokens_empty\":%u,\"donated_in_ns\":%" PRIu64 ",\"donated_out_ns\":%" PRIu64
               ",\"advice\":\"%s\"}\n",
               t->name, class_names[t->ctx.cls], t->ctx.cpu, share, a.wakes, percentile(wake, 0.5),
               percentile(wake, 0.99), a.max_wake_ns, a.switches, a.preempted, a.migrations,
               a.misses, a.overruns, a.tokens_empty, a.donated_in_ns, a.donated_out_ns,
               dis_opt_advice_words(advice));
        return;
    }
    printf("%-20s %-11s %3u %7.3f %8u %7" PRIu64 " %7" PRIu64 " %9.1f %6u %6u\n", t->name,
           class_names[t->ctx.cls], t->ctx.cpu, share * 100.0, a.wakes, percentile(wake, 0.5),
           percentile(wake, 0.99), (double)a.max_wake_ns / 1000.0, a.misses, a.overruns);
    if (advice != DIS_ADVICE_NONE) {
        printf("  note: %s\n", dis_opt_advice_words(advice));
    }
}

/* In the order of creation. */
static void report_tasks(struct sim_task *t, double seconds)
{
    if (t != NULL) {
        report_tasks(t->next, seconds);
        report_task(t, seconds);
    }
}

int main(int argc, char **argv)
{
    struct dis_stats_page *page = calloc(1, sizeof(*page));
    struct workload *w;
    size_t size;
    char *text;
    int status = 0;

    if (!parse_args(argc, argv)) {
        return 2;
    }
    text = read_file(args.workload, &size);
    if (text == NULL) {
        fprintf(stderr, "dis-sim: %s cannot be read\n", args.workload);
        return 1;
    }
    w = workload_read(args.workload, text, size);
    free(text);
    if (w == NULL || page == NULL) {
        return 1;
    }
    if (args.seconds == 0) {
        args.seconds = workload_seconds(w) != 0 ? workload_seconds(w) : 10;
    }
    sim_seed(args.seed);
    sim_init(&args.sim);
    dis_opt_enable(args.optimizer);
    clock_t begin = clock();
    if (workload_start(w)) {
        sim_run((u64)(args.seconds * 1e9));
        double host = (double)(clock() - begin) / CLOCKS_PER_SEC;
        dis_stats_publish(page, sim_now());
        if (!args.json) {
            printf("%-20s %-11s %3s %7s %8s %7s %7s %9s %6s %6s\n", "task", "class", "cpu", "cpu%",
                   "wakes", "p50 us", "p99 us", "max us", "misses", "overr.");
        }
        report_tasks(sim_tasks(), args.seconds);
        const struct sim_counts *c = sim_counts();
        printf(args.json ? "{\"seconds\":%.3f,\"events\":%" PRIu64 ",\"events_per_second\":%.0f,"
                           "\"switches\":%" PRIu64 ",\"misses\":%" PRIu64
                           ",\"digest\":\"%016" PRIx64 "\",\"policy\":\"%s\"}\n"
                         : "%.3f s, %" PRIu64 " events (%.0f a second), %" PRIu64
                           " switches, %" PRIu64 " misses, digest %016" PRIx64 ", policy %s\n",
               args.seconds, c->events, host > 0 ? (double)c->events / host : 0, c->switches,
               page->misses, c->hash, page->policy);
        status = page->misses != 0 ? 3 : 0;
        if (args.trace != NULL && !sim_trace_write_perfetto(args.trace)) {
            fprintf(stderr, "dis-sim: %s cannot be written\n", args.trace);
            status = 1;
        }
        if (args.svg != NULL &&
            !sim_trace_write_svg(args.svg, 0, (u64)(fmin(args.svg_ms / 1e3, args.seconds) * 1e9))) {
            fprintf(stderr, "dis-sim: %s cannot be written\n", args.svg);
            status = 1;
        }
    } else {
        status = 1;
    }
    sim_fini();
    sim_trace_reset();
    workload_free(w);
    free(page);
    return status;
}
