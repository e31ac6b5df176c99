/* SPDX-License-Identifier: MIT */
/* The `trace` command, and the rings as the JSON that trace viewers load.
 * Owns:      the names of kinds and operations.      Context: thread, under trace_lock.
 * Spec:      Trace Event Format: complete events ("X") with ts and dur in microseconds, instant
 *            events ("i"), metadata ("M").
 */
#include "trace_priv.h"

#include <core/cpu.h>
#include <core/memory.h>
#include <core/shell.h>
#include <core/sync.h>
#include <core/syscall.h>
#include <core/task.h>
#include <core/time.h>
#include <hal/trap.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/string.h>

#define NAME_BYTES  16
#define TRACK_CPUS  0 /* process numbers of the two groups of tracks */
#define TRACK_TASKS 1

static const char *const kind_names[] = {
    [TRACE_SWITCH] = "switch", [TRACE_WAKE] = "wake",       [TRACE_TASK_END] = "end",
    [TRACE_IRQ] = "irq",       [TRACE_SYSCALL] = "syscall", [TRACE_FAULT] = "fault",
    [TRACE_IPC] = "ipc",       [TRACE_SCHED] = "sched",     [TRACE_CAP] = "cap",
    [TRACE_MODULE] = "module",
};
_Static_assert(HX_ARRAY_SIZE(kind_names) == TRACE_KIND_COUNT, "a kind without a name");

static const char *const ipc_names[] = {"call", "receive", "reply", "send", "publish", "lost"};
_Static_assert(HX_ARRAY_SIZE(ipc_names) == TRACE_IPC_COUNT, "an operation without a name");
static const char *const sched_names[] = {"admit", "refuse", "miss", "throttle", "donate", "eject"};
_Static_assert(HX_ARRAY_SIZE(sched_names) == TRACE_SCHED_COUNT, "an operation without a name");
static const char *const cap_names[] = {"derive", "transfer", "revoke"};
_Static_assert(HX_ARRAY_SIZE(cap_names) == TRACE_CAP_COUNT, "an operation without a name");
static const char *const module_names[] = {"load", "swap", "fault"};
_Static_assert(HX_ARRAY_SIZE(module_names) == TRACE_MODULE_COUNT, "an operation without a name");
static const char *const trap_names[] = {
    [TRAP_PAGE_FAULT] = "page fault",
    [TRAP_UNDEFINED] = "undefined",
    [TRAP_DIVIDE] = "divide",
    [TRAP_BREAKPOINT] = "breakpoint",
    [TRAP_DEBUG] = "debug",
    [TRAP_ALIGNMENT] = "alignment",
    [TRAP_PROTECTION] = "protection",
    [TRAP_FLOAT] = "float",
    [TRAP_STACK_OVERFLOW] = "stack overflow",
    [TRAP_NMI] = "nmi",
    [TRAP_MACHINE] = "machine check",
    [TRAP_OTHER] = "other",
};
_Static_assert(HX_ARRAY_SIZE(trap_names) == TRAP_KIND_COUNT, "a trap without a name");

/* names of tasks */

static void add_name(struct trace_names *names, u32 id, const char *name, size_t size)
{
    if (names->count < TRACE_NAMES_MAX) {
        struct trace_name *entry = &names->entries[names->count++];
        entry->id = id;
        memset(entry->name, 0, sizeof(entry->name));
        memcpy(entry->name, name, size);
    }
}

static void add_task(struct task *task, void *ctx)
{
    add_name(ctx, (u32)task->id, task->name, strnlen(task->name, TASK_NAME_MAX - 1));
}

/* Of the tasks that live, and of those that ended while their end was recorded. */
void trace_names_collect(struct trace_names *names)
{
    task_for_each(add_task, names);
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        const struct trace_event *events = trace_rings[cpu].events;
        for (u64 i = 0; events && i < hx_min_u64(trace_rings[cpu].next, TRACE_RING_EVENTS); i++) {
            if (events[i].kind == TRACE_TASK_END) {
                char name[NAME_BYTES];
                memcpy(name, &events[i].a, NAME_BYTES);
                add_name(names, events[i].task, name, strnlen(name, NAME_BYTES));
            }
        }
    }
}

const char *trace_name_of(const struct trace_names *names, u32 id)
{
    for (u32 i = 0; i < names->count; i++) {
        if (names->entries[i].id == id) {
            return names->entries[i].name;
        }
    }
    return id ? "?" : "idle";
}

/* dump */

struct dump {
    bool first;
    struct trace_names *names;
};

static void print_ns(const char *key, u64 ns)
{
    shell_printf(",\"%s\":%lu.%03lu", key, ns / 1000, ns % 1000);
}

/* The part that all events begin with; the caller adds "args" and the brace. */
static void begin_event(struct dump *dump, const char *category, char phase, u32 process,
                        u64 thread)
{
    shell_printf("%s\n{\"cat\":\"%s\",\"ph\":\"%c\",\"pid\":%u,\"tid\":%lu", dump->first ? "" : ",",
                 category, phase, process, thread);
    dump->first = false;
}

static void print_name(const char *prefix, const char *name)
{
    shell_printf(",\"name\":\"%s", prefix);
    for (; *name; name++) {
        shell_printf(*name == '"' || *name == '\\' || (u8)*name < ' ' ? "\\u%04x" : "%c",
                     (u8)*name);
    }
    shell_printf("\"");
}

static void dump_span(struct dump *dump, const char *category, u32 process, u64 thread,
                      const char *name, u64 from_ns, u64 to_ns)
{
    begin_event(dump, category, 'X', process, thread);
    print_name("", name);
    print_ns("ts", from_ns);
    print_ns("dur", to_ns > from_ns ? to_ns - from_ns : 0);
}

static void dump_instant(struct dump *dump, const struct trace_event *e, const char *name,
                         const char *a, const char *b)
{
    begin_event(dump, kind_names[e->kind], 'i', TRACK_TASKS, e->task);
    print_name("", name);
    print_ns("ts", time_from_counter_ns(e->counter));
    shell_printf(",\"s\":\"t\",\"args\":{\"%s\":%lu,\"%s\":%lu}}", a, e->a, b, e->b);
}

static const char *pick(const char *const *names, u32 count, u32 index)
{
    return index < count ? names[index] : "?";
}

static void dump_syscall(struct dump *dump, const struct trace_event *e)
{
    const struct syscall_entry *entry = syscall_entry(e->extra);
    dump_span(dump, "syscall", TRACK_TASKS, e->task, entry ? entry->words : "?",
              time_from_counter_ns(e->a), time_from_counter_ns(e->counter));
    shell_printf(",\"args\":{\"number\":%u,\"result\":%ld}}", e->extra, (s64)e->b);
}

static void dump_event(struct dump *dump, cpu_id_t cpu, const struct trace_event *e)
{
    char name[24];
    switch (e->kind) {
    case TRACE_WAKE:
        begin_event(dump, "sched", 'i', TRACK_CPUS, cpu);
        print_name("wake ", trace_name_of(dump->names, (u32)e->a));
        print_ns("ts", time_from_counter_ns(e->counter));
        shell_printf(",\"s\":\"t\",\"args\":{\"task\":%lu,\"cpu\":%u}}", e->a, e->extra);
        return;
    case TRACE_IRQ:
        format_buffer(name, sizeof(name), "irq %u", e->extra);
        dump_span(dump, "irq", TRACK_CPUS, cpu, name, time_from_counter_ns(e->a),
                  time_from_counter_ns(e->counter));
        shell_printf("}");
        return;
    case TRACE_SYSCALL:
        dump_syscall(dump, e);
        return;
    case TRACE_FAULT:
        dump_span(dump, "fault", TRACK_TASKS, e->task, pick(trap_names, TRAP_KIND_COUNT, e->extra),
                  time_from_counter_ns(e->a), time_from_counter_ns(e->counter));
        shell_printf(",\"args\":{\"address\":\"0x%lx\"}}", e->b);
        return;
    case TRACE_IPC:
        dump_instant(dump, e, pick(ipc_names, TRACE_IPC_COUNT, e->extra), "object", "bytes");
        return;
    case TRACE_SCHED:
        dump_instant(dump, e, pick(sched_names, TRACE_SCHED_COUNT, e->extra), "a", "b");
        return;
    case TRACE_CAP:
        dump_instant(dump, e, pick(cap_names, TRACE_CAP_COUNT, e->extra), "handle", "rights");
        return;
    case TRACE_MODULE:
        dump_instant(dump, e, pick(module_names, TRACE_MODULE_COUNT, e->extra), "instance", "n");
        return;
    default:
        return; /* switches are made into spans, ends into names */
    }
}

/* A ring, oldest first. Who runs between two switches is a span on the CPU's track. */
static void dump_ring(struct dump *dump, cpu_id_t cpu)
{
    const struct trace_event *events = trace_rings[cpu].events;
    u64 next = trace_rings[cpu].next;
    u64 lost = next > TRACE_RING_EVENTS ? next - TRACE_RING_EVENTS : 0, since_ns = 0, last_ns = 0;
    bool known = false;
    u32 running = 0;
    for (u64 i = lost; i < next; i++) {
        struct trace_event e = events[i % TRACE_RING_EVENTS]; /* a late hook may be writing */
        last_ns = time_from_counter_ns(e.counter);
        if (e.kind == TRACE_SWITCH) {
            if (known) {
                dump_span(dump, "sched", TRACK_CPUS, cpu, trace_name_of(dump->names, running),
                          since_ns, last_ns);
                shell_printf(",\"args\":{\"task\":%u,\"left\":\"%s\"}}", running,
                             task_state_name(e.extra));
            }
            known = true;
            running = (u32)e.b;
            since_ns = last_ns;
        } else {
            dump_event(dump, cpu, &e);
        }
    }
    if (known) {
        dump_span(dump, "sched", TRACK_CPUS, cpu, trace_name_of(dump->names, running), since_ns,
                  last_ns);
        shell_printf(",\"args\":{\"task\":%u,\"left\":\"running\"}}", running);
    }
    if (lost) { /* where the picture begins, in sight */
        begin_event(dump, "lost", 'i', TRACK_CPUS, cpu);
        shell_printf(",\"name\":\"%lu events lost before this\"", lost);
        print_ns("ts", time_from_counter_ns(events[lost % TRACE_RING_EVENTS].counter));
        shell_printf(",\"s\":\"t\",\"args\":{\"lost\":%lu}}", lost);
    }
}

static void dump_track_names(struct dump *dump)
{
    static const char *const groups[] = {[TRACK_CPUS] = "CPUs", [TRACK_TASKS] = "tasks"};
    for (u32 i = 0; i < HX_ARRAY_SIZE(groups); i++) {
        begin_event(dump, "__metadata", 'M', i, 0);
        shell_printf(",\"name\":\"process_name\",\"args\":{\"name\":\"%s\"}}", groups[i]);
    }
    for (u32 i = 0; i < dump->names->count; i++) {
        begin_event(dump, "__metadata", 'M', TRACK_TASKS, dump->names->entries[i].id);
        shell_printf(",\"name\":\"thread_name\",\"args\":{\"name\":");
        shell_print_json_string(dump->names->entries[i].name);
        shell_printf("}}");
    }
}

static int dump_all(void)
{
    struct dump dump = {.first = true, .names = kzalloc(sizeof(*dump.names))};
    if (!dump.names) {
        shell_printf("trace: %s\n", hx_status_words(HX_ERR_NO_MEMORY));
        return SHELL_FAILED;
    }
    trace_names_collect(dump.names);
    shell_printf("{\"displayTimeUnit\":\"ns\",\"otherData\":{");
    bool first = true;
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        u64 next = trace_rings[cpu].next;
        if (trace_rings[cpu].events) {
            shell_printf("%s\"cpu%u\":{\"recorded\":%lu,\"lost\":%lu}", first ? "" : ",", cpu, next,
                         next > TRACE_RING_EVENTS ? next - TRACE_RING_EVENTS : 0);
            first = false;
        }
    }
    shell_printf("},\"traceEvents\":[");
    dump_track_names(&dump);
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        if (trace_rings[cpu].events) {
            dump_ring(&dump, cpu);
        }
    }
    shell_printf("\n]}\n");
    kfree(dump.names);
    return SHELL_OK;
}

/* the command */

static void do_nothing(void *arg)
{
    (void)arg;
}

void trace_kinds_set(u32 add, u32 remove)
{
    __atomic_fetch_and(&trace_mask, ~remove, __ATOMIC_RELEASE);
    __atomic_fetch_or(&trace_mask, add, __ATOMIC_RELEASE);
    cpu_call(cpu_online_mask(), do_nothing, NULL); /* what was being recorded is in */
}

enum hx_status trace_start(u32 mask)
{
    trace_kinds_set(0, ~0u);
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        if (cpu_is_online(cpu) && !trace_rings[cpu].events) {
            struct trace_event *events = kzalloc(TRACE_RING_EVENTS * sizeof(*events));
            if (!events) {
                return HX_ERR_NO_MEMORY;
            }
            __atomic_store_n(&trace_rings[cpu].events, events, __ATOMIC_RELEASE);
        }
        trace_rings[cpu].next = 0;
    }
    trace_kinds_set(mask, 0);
    return HX_OK;
}

#define ALL_KINDS ((1u << TRACE_KIND_COUNT) - 1)

static void stop(void)
{
    trace_kinds_set(0, ALL_KINDS);
}

/* "irq,syscall" to a mask; 0 when a word is no kind. */
static u32 parse_kinds(const char *list)
{
    u32 mask = 0;
    while (*list) {
        const char *comma = strchr(list, ',');
        size_t n = comma ? (size_t)(comma - list) : strlen(list);
        u32 kind = 0;
        while (kind < TRACE_KIND_COUNT &&
               (strlen(kind_names[kind]) != n || memcmp(kind_names[kind], list, n) != 0)) {
            kind++;
        }
        if (kind == TRACE_KIND_COUNT) {
            return 0;
        }
        mask |= 1u << kind;
        list += n + (comma != NULL);
    }
    return mask;
}

static int show_state(void)
{
    u64 recorded = 0, lost = 0;
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        u64 next = trace_rings[cpu].next;
        recorded += next;
        lost += next > TRACE_RING_EVENTS ? next - TRACE_RING_EVENTS : 0;
    }
    shell_printf("trace %s, %lu events recorded, %lu lost\n", trace_mask & ALL_KINDS ? "on" : "off",
                 recorded, lost);
    return SHELL_OK;
}

static int command_trace(int argc, char **argv)
{
    u32 mask = argc == 3 ? parse_kinds(argv[2]) : ALL_KINDS;
    bool starts = argc >= 2 && str_equal(argv[1], "start");
    if (argc > 3 || (argc == 3 && !starts) || mask == 0) {
        return shell_usage("trace");
    }
    int result = SHELL_OK;
    mutex_acquire(&trace_lock);
    if (argc == 1) {
        result = show_state();
    } else if (starts) {
        enum hx_status status = trace_start(mask);
        if (status != HX_OK) {
            shell_printf("trace: %s\n", hx_status_words(status));
            result = SHELL_FAILED;
        }
    } else if (str_equal(argv[1], "stop")) {
        stop();
        result = show_state();
    } else if (str_equal(argv[1], "dump")) {
        stop();
        result = dump_all();
    } else {
        result = shell_usage("trace");
    }
    mutex_release(&trace_lock);
    return result;
}

SHELL_COMMAND_ADMIN(
    trace, "trace", "[start [KIND,...] | stop | dump]",
    "record what happens, and dump it as JSON for a trace viewer",
    "Kinds: switch wake end irq syscall fault ipc sched cap module; all without a list.\n"
    "Each CPU keeps its last 8192 events; what was overwritten is counted as lost.\n"
    "dump stops the recording first.",
    command_trace);
