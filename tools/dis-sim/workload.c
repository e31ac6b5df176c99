/* SPDX-License-Identifier: MIT */
/* rt-app's workload files as programs of the simulator.
 * Understood: "global": duration, default_policy. "tasks": instance, loop, delay, cpus, priority
 *             (nice), policy (SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE), dl-runtime,
 *             dl-deadline, dl-period, weight, intent, phases; events run, runtime, sleep, timer,
 *             lock, unlock, suspend, resume, yield, each with any suffix, since a name may not
 *             repeat in strict JSON. Times are microseconds. An event that is not in the list is
 *             an error, not a silent gap: results would mean something else.
 * Added:      "intent": {"class", "period", "deadline", "wcet", "latency", "burst", "rate",
 *             "weight", "slice", "hard", "pinned"}; times in microseconds, rate in permille.
 */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64

enum event_kind { EV_RUN, EV_SLEEP, EV_TIMER, EV_LOCK, EV_UNLOCK, EV_SUSPEND, EV_RESUME, EV_YIELD };

struct action {
    enum event_kind kind;
    u64 ns;
    u32 name; /* of a mutex or of a task to resume */
};

struct phase {
    struct action *actions;
    u32 nr;
    long loops; /* -1: for ever */
};

struct task_kind {
    const char *name;
    struct phase *phases;
    u32 nr;
    long loops, instances;
    u64 delay;
    struct hx_intent intent;
};

struct workload {
    const char *path;
    struct json *root;
    struct task_kind *kinds;
    u32 nr;
    const char *names[NAMES_MAX];
    struct sim_mutex mutexes[NAMES_MAX];
    struct sim_task *suspended[NAMES_MAX][64];
    u32 suspended_nr[NAMES_MAX];
    bool resumed[NAMES_MAX]; /* before anyone was suspended: the next one goes on */
    u32 names_nr;
    struct instance *instances;
};

struct instance {
    struct instance *next; /* of the workload's */
    struct workload *w;
    const struct task_kind *kind;
    u32 phase, action;
    long phase_loop, loop;
    u64 timer;
};

static bool complain(const struct workload *w, const struct json *at, const char *what,
                     const char *name)
{
    fprintf(stderr, "dis-sim: %s:%d: %s%s%s\n", w->path, at == NULL ? 1 : at->line, what,
            name == NULL ? "" : ": ", name == NULL ? "" : name);
    return false;
}

static bool number_in(const struct workload *w, const struct json *v, double low, double high,
                      double *out)
{
    if (v->kind != JSON_NUMBER || v->number < low || v->number > high) {
        return complain(w, v, "a number is out of range", v->name);
    }
    *out = v->number;
    return true;
}

/* The optional member `name` in *out, which keeps its value when there is none. */
static bool member_in(const struct workload *w, const struct json *object, const char *name,
                      double low, double high, double *out)
{
    const struct json *v = json_get(object, name);
    return v == NULL || number_in(w, v, low, high, out);
}

static bool name_index(struct workload *w, const struct json *at, const char *name, u32 *out)
{
    for (u32 i = 0; i < w->names_nr; i++) {
        if (strcmp(w->names[i], name) == 0) {
            *out = i;
            return true;
        }
    }
    if (w->names_nr == NAMES_MAX) {
        return complain(w, at, "too many mutexes and conditions", name);
    }
    w->names[w->names_nr] = name;
    *out = w->names_nr++;
    return true;
}

/* Events, longest name first, since names have suffixes. */
static const struct {
    const char *name;
    enum event_kind kind;
} events[] = {{"runtime", EV_RUN},     {"run", EV_RUN},       {"sleep", EV_SLEEP},
              {"timer", EV_TIMER},     {"lock", EV_LOCK},     {"unlock", EV_UNLOCK},
              {"suspend", EV_SUSPEND}, {"resume", EV_RESUME}, {"yield", EV_YIELD}};

static const char *const settings[] = {
    "instance",    "loop",      "delay",  "cpus",   "priority", "policy",    "dl-runtime",
    "dl-deadline", "dl-period", "weight", "intent", "phases",   "taskgroup", "comment"};

static bool is_setting(const char *name)
{
    for (size_t i = 0; i < HX_ARRAY_SIZE(settings); i++) {
        if (strcmp(name, settings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_action(struct workload *w, const struct json *v, const char *task,
                        struct action *a)
{
    double us = 0;
    size_t i = 0;
    while (i < HX_ARRAY_SIZE(events) &&
           strncmp(v->name, events[i].name, strlen(events[i].name)) != 0) {
        i++;
    }
    if (i == HX_ARRAY_SIZE(events)) {
        return complain(w, v, "this event is not supported", v->name);
    }
    a->kind = events[i].kind;
    switch (a->kind) {
    case EV_RUN:
    case EV_SLEEP:
        if (!number_in(w, v, 0, 1e12, &us)) {
            return false;
        }
        break;
    case EV_TIMER:
        if (v->kind != JSON_OBJECT || json_get(v, "period") == NULL) {
            return complain(w, v, "a timer needs a period", NULL);
        }
        if (!member_in(w, v, "period", 1, 1e12, &us)) {
            return false;
        }
        break;
    case EV_LOCK:
    case EV_UNLOCK:
    case EV_RESUME:
        if (v->kind != JSON_STRING) {
            return complain(w, v, "a name is expected", v->name);
        }
        return name_index(w, v, v->text, &a->name);
    case EV_SUSPEND:
        return name_index(w, v, v->kind == JSON_STRING && v->text[0] != '\0' ? v->text : task,
                          &a->name);
    case EV_YIELD:
        break;
    }
    a->ns = (u64)(us * 1000.0);
    return true;
}

static bool read_phase(struct workload *w, const struct json *object, const char *task,
                       struct phase *phase)
{
    double loops = 1;
    u64 time = 0;
    for (const struct json *v = object->first; v != NULL; v = v->next) {
        phase->nr += !is_setting(v->name);
    }
    if (phase->nr == 0) {
        return complain(w, object, "no events", task);
    }
    phase->actions = calloc(phase->nr, sizeof(*phase->actions));
    if (phase->actions == NULL) {
        return complain(w, object, "no memory", NULL);
    }
    phase->nr = 0;
    for (const struct json *v = object->first; v != NULL; v = v->next) {
        if (!is_setting(v->name)) {
            struct action *a = &phase->actions[phase->nr++];
            if (!read_action(w, v, task, a)) {
                return false;
            }
            time += a->ns + (a->kind == EV_SUSPEND || a->kind == EV_YIELD);
        }
    }
    if (time == 0) {
        return complain(w, object, "its events take no time, and it would loop for ever", task);
    }
    if (!member_in(w, object, "loop", -1, 1e9, &loops)) {
        return false;
    }
    phase->loops = (long)loops;
    return true;
}

/* Each step of nice is a factor of 1.25, as everyone is used to. */
static u32 weight_of_nice(double nice)
{
    double weight = 1024;
    for (; nice > 0; nice--) {
        weight /= 1.25;
    }
    for (; nice < 0; nice++) {
        weight *= 1.25;
    }
    return weight < SCHED_WEIGHT_MIN ? SCHED_WEIGHT_MIN : (u32)weight;
}

static bool read_intent(struct workload *w, const struct json *object, struct hx_intent *in)
{
    static const char *const classes[] = {"batch", "interactive", "background", "system",
                                          "realtime"};
    const struct json *cls = json_get(object, "class"), *flag;
    double period = 0, deadline = 0, wcet = 0, latency = 0, burst = 0, rate = 0, weight = 0,
           slice = 0;
    u32 i = 0;
    if (cls == NULL || cls->kind != JSON_STRING) {
        return complain(w, object, "an intent needs a class", NULL);
    }
    while (i < HX_ARRAY_SIZE(classes) && strcmp(cls->text, classes[i]) != 0) {
        i++;
    }
    if (i == HX_ARRAY_SIZE(classes)) {
        return complain(w, cls, "no such class", cls->text);
    }
    if (!member_in(w, object, "period", 0, 1e12, &period) ||
        !member_in(w, object, "deadline", 0, 1e12, &deadline) ||
        !member_in(w, object, "wcet", 0, 1e12, &wcet) ||
        !member_in(w, object, "latency", 0, 1e12, &latency) ||
        !member_in(w, object, "burst", 0, 1e12, &burst) ||
        !member_in(w, object, "slice", 0, 1e12, &slice) ||
        !member_in(w, object, "rate", 0, 1000, &rate) ||
        !member_in(w, object, "weight", 0, SCHED_WEIGHT_MAX, &weight)) {
        return false;
    }
    in->cls = i;
    in->period = (u64)(period * 1000);
    in->deadline = (u64)(deadline * 1000);
    in->wcet = (u64)(wcet * 1000);
    in->latency = (u64)(latency * 1000);
    in->burst = (u64)(burst * 1000);
    in->slice = (u64)(slice * 1000);
    in->rate = (u32)rate;
    in->weight = (u32)weight;
    flag = json_get(object, "hard");
    in->flags |= flag != NULL && flag->boolean ? HX_INTENT_HARD : 0;
    flag = json_get(object, "pinned");
    in->flags |= flag != NULL && flag->boolean ? HX_INTENT_PINNED : 0;
    return true;
}

static bool read_policy(struct workload *w, const struct json *object, const char *fallback,
                        struct hx_intent *in)
{
    const struct json *v = json_get(object, "policy");
    const char *policy = v != NULL && v->kind == JSON_STRING ? v->text : fallback;
    double nice = 0, weight = 0, runtime = 0, period = 0, deadline = 0;
    if (!member_in(w, object, "priority", -20, 19, &nice) ||
        !member_in(w, object, "weight", SCHED_WEIGHT_MIN, SCHED_WEIGHT_MAX, &weight) ||
        !member_in(w, object, "dl-runtime", 0, 1e12, &runtime) ||
        !member_in(w, object, "dl-period", 0, 1e12, &period) ||
        !member_in(w, object, "dl-deadline", 0, 1e12, &deadline)) {
        return false;
    }
    in->cls = SCHED_CLASS_BATCH;
    in->weight = weight != 0 ? (u32)weight : weight_of_nice(nice);
    if (strcmp(policy, "SCHED_IDLE") == 0) {
        in->cls = SCHED_CLASS_BACKGROUND;
    } else if (strcmp(policy, "SCHED_DEADLINE") == 0) {
        in->cls = SCHED_CLASS_REALTIME;
        in->wcet = (u64)(runtime * 1000);
        in->period = (u64)(period * 1000);
        in->deadline = (u64)(deadline * 1000);
        in->weight = 0;
    } else if (strcmp(policy, "SCHED_OTHER") != 0 && strcmp(policy, "SCHED_BATCH") != 0) {
        return complain(w, v, "this policy has no counterpart; give an intent instead", policy);
    }
    v = json_get(object, "intent");
    if (v != NULL) {
        memset(in, 0, sizeof(*in));
        return read_intent(w, v, in);
    }
    return true;
}

static bool read_task(struct workload *w, const struct json *object, const char *policy,
                      struct task_kind *kind)
{
    const struct json *phases = json_get(object, "phases"), *cpus = json_get(object, "cpus");
    double instances = 1, loops = -1, delay = 0, cpu;
    kind->name = object->name;
    if (object->kind != JSON_OBJECT) {
        return complain(w, object, "a task is an object", object->name);
    }
    if (!member_in(w, object, "instance", 0, 100000, &instances) ||
        !member_in(w, object, "loop", -1, 1e9, &loops) ||
        !member_in(w, object, "delay", 0, 1e12, &delay) ||
        !read_policy(w, object, policy, &kind->intent)) {
        return false;
    }
    kind->intent.size = sizeof(kind->intent);
    kind->instances = (long)instances;
    kind->loops = (long)loops;
    kind->delay = (u64)(delay * 1000);
    for (const struct json *c = cpus == NULL ? NULL : cpus->first; c != NULL; c = c->next) {
        if (!number_in(w, c, 0, SCHED_CPUS_MAX - 1, &cpu)) {
            return false;
        }
        kind->intent.affinity |= 1ull << (u32)cpu;
    }
    for (const struct json *p = phases == NULL ? object : phases->first; p != NULL;
         p = phases == NULL ? NULL : p->next) {
        struct phase *more = realloc(kind->phases, (kind->nr + 1) * sizeof(*more));
        if (more == NULL) {
            return complain(w, p, "no memory", NULL);
        }
        kind->phases = more;
        memset(&more[kind->nr], 0, sizeof(*more));
        kind->nr++;
        if (!read_phase(w, p, kind->name, &more[kind->nr - 1])) {
            return false;
        }
        if (phases == NULL) { /* then "loop" is the task's */
            more[kind->nr - 1].loops = 1;
        }
    }
    return kind->nr != 0 || complain(w, object, "no events", kind->name);
}

struct workload *workload_read(const char *path, const char *text, size_t size)
{
    struct workload *w = calloc(1, sizeof(*w));
    const struct json *tasks, *policy;
    const char *what;
    int line;
    if (w == NULL) {
        return NULL;
    }
    w->path = path;
    w->root = json_parse(text, size, &line, &what);
    if (w->root == NULL) {
        fprintf(stderr, "dis-sim: %s:%d: %s\n", path, line, what);
        workload_free(w);
        return NULL;
    }
    tasks = json_get(w->root, "tasks");
    policy = json_get(json_get(w->root, "global"), "default_policy");
    if (tasks == NULL || tasks->kind != JSON_OBJECT || tasks->first == NULL) {
        complain(w, w->root, "no tasks", NULL);
        workload_free(w);
        return NULL;
    }
    for (const struct json *t = tasks->first; t != NULL; t = t->next) {
        struct task_kind *more = realloc(w->kinds, (w->nr + 1) * sizeof(*more));
        if (more == NULL) {
            workload_free(w);
            return NULL;
        }
        w->kinds = more;
        memset(&more[w->nr], 0, sizeof(*more));
        w->nr++;
        if (!read_task(w, t,
                       policy != NULL && policy->kind == JSON_STRING ? policy->text : "SCHED_OTHER",
                       &more[w->nr - 1])) {
            workload_free(w);
            return NULL;
        }
    }
    return w;
}

double workload_seconds(const struct workload *w)
{
    const struct json *v = json_get(json_get(w->root, "global"), "duration");
    return v == NULL || v->kind != JSON_NUMBER || v->number < 0 ? 0 : v->number;
}

/* Steps to the next event. False: the task is done. */
static bool next_action(struct instance *in)
{
    const struct task_kind *kind = in->kind;
    const struct phase *phase = &kind->phases[in->phase];
    if (++in->action < phase->nr) {
        return true;
    }
    in->action = 0;
    if (phase->loops < 0 || ++in->phase_loop < phase->loops) {
        return true;
    }
    in->phase_loop = 0;
    if (++in->phase < kind->nr) {
        return true;
    }
    in->phase = 0;
    return kind->loops < 0 || ++in->loop < kind->loops;
}

static void resume_all(struct workload *w, u32 name)
{
    w->resumed[name] = w->suspended_nr[name] == 0;
    while (w->suspended_nr[name] != 0) {
        sim_wake(w->suspended[name][--w->suspended_nr[name]]);
    }
}

static struct sim_step workload_program(struct sim_task *task)
{
    struct instance *in = task->arg;
    struct workload *w = in->w;
    const struct action *a;
    struct sim_step step = {SIM_GO_ON, 0};

    if (!next_action(in)) {
        return (struct sim_step){SIM_EXIT, 0};
    }
    a = &in->kind->phases[in->phase].actions[in->action];
    switch (a->kind) {
    case EV_RUN:
        step = (struct sim_step){SIM_RUN, a->ns};
        break;
    case EV_SLEEP:
        step = (struct sim_step){SIM_SLEEP, sim_now() + a->ns};
        break;
    case EV_TIMER:
        if (in->timer == 0) {
            in->timer = sim_now() - sim_now() % 1000;
        }
        in->timer += a->ns;
        if (in->timer < sim_now()) { /* late: no catching up */
            in->timer = sim_now();
        }
        step = (struct sim_step){SIM_SLEEP, in->timer};
        break;
    case EV_LOCK:
        step.kind = sim_mutex_lock(&w->mutexes[a->name], task) ? SIM_GO_ON : SIM_BLOCK;
        break;
    case EV_UNLOCK:
        if (w->mutexes[a->name].owner == task) {
            sim_mutex_unlock(&w->mutexes[a->name], task);
        }
        break;
    case EV_SUSPEND:
        if (w->resumed[a->name]) {
            w->resumed[a->name] = false;
        } else if (w->suspended_nr[a->name] < HX_ARRAY_SIZE(w->suspended[0])) {
            w->suspended[a->name][w->suspended_nr[a->name]++] = task;
            step.kind = SIM_BLOCK;
        }
        break;
    case EV_RESUME:
        resume_all(w, a->name);
        break;
    case EV_YIELD:
        step.kind = SIM_YIELD;
        break;
    }
    return step;
}

bool workload_start(struct workload *w)
{
    for (u32 k = 0; k < w->nr; k++) {
        const struct task_kind *kind = &w->kinds[k];
        for (long i = 0; i < kind->instances; i++) {
            struct instance *in = calloc(1, sizeof(*in));
            struct hx_intent_result res;
            struct sim_task *task;
            char name[24];
            if (in == NULL) {
                return complain(w, NULL, "no memory", NULL);
            }
            snprintf(name, sizeof(name), kind->instances > 1 ? "%.16s-%ld" : "%.20s", kind->name,
                     i);
            in->next = w->instances;
            w->instances = in;
            in->w = w;
            in->kind = kind;
            in->action = (u32)-1; /* the first step is to the first event */
            task = sim_task_create(name, workload_program, in, NULL, kind->delay);
            if (sim_task_intent(task, &kind->intent, &res) != HX_OK) {
                fprintf(stderr, "dis-sim: %s: the intent of %s was refused: %s", w->path, name,
                        dis_reason_words(res.reason));
                if (res.max_wcet != 0) {
                    fprintf(stderr, "; a wcet of %.3f us would fit", (double)res.max_wcet / 1000.0);
                }
                fprintf(stderr, "\n");
                return false;
            }
        }
    }
    return true;
}

void workload_free(struct workload *w)
{
    for (u32 k = 0; k < w->nr; k++) {
        for (u32 p = 0; p < w->kinds[k].nr; p++) {
            free(w->kinds[k].phases[p].actions);
        }
        free(w->kinds[k].phases);
    }
    while (w->instances != NULL) {
        struct instance *in = w->instances;
        w->instances = in->next;
        free(in);
    }
    free(w->kinds);
    json_free(w->root);
    free(w);
}
