/* SPDX-License-Identifier: MIT */
/* The module family of commands.
 * Context: the shell's thread.
 */
#include "runtime_priv.h"

#include <core/memory.h>
#include <core/shell.h>
#include <core/slot.h>
#include <core/sync.h>
#include <hal/cpu.h>
#include <helix/format.h>
#include <helix/string.h>
#include <userspace/archive.h>
#include <userspace/program.h>

static const char *const capability_names[] = {"sched",   "frames", "heap",   "fs",  "block",
                                               "console", "bus",    "device", "time"};
_Static_assert(1u << HX_ARRAY_SIZE(capability_names) == MODULE_CAP_ALL + 1, "one name each");

/* One command at a time: what a command looks at is not unloaded by another. */
static struct mutex commands = MUTEX_INIT(commands);

static int alone(int argc, char **argv, shell_command_fn *run)
{
    if (!mutex_acquire_try(&commands)) {
        shell_printf("%s: another command on modules is under way\n", argv[0]);
        return SHELL_FAILED;
    }
    int result = run(argc, argv);
    mutex_release(&commands);
    return result;
}

#define ALONE(name)                                                                                \
    static int alone_##name(int argc, char **argv)                                                 \
    {                                                                                              \
        return alone(argc, argv, command_##name);                                                  \
    }

/* Where a module file is. */
struct source {
    const void *data;
    size_t size;
    bool trusted; /* it came with the kernel */
    bool owned;   /* the heap's */
};

static enum hx_status source_of_path(const char *path, struct source *out)
{
    struct program program;
    enum hx_status status = program_open(namespace_boot(), path, strlen(path), &program);
    if (status != HX_OK) {
        return status;
    }
    void *data = NULL;
    status = HX_ERR_OVERFLOW;
    if (program.size <= MODULE_FILE_MAX) {
        data = kmalloc(program.size + 1);
        status = data ? program_read(&program, 0, data, program.size) : HX_ERR_NO_MEMORY;
    }
    if (status == HX_OK) {
        *out = (struct source){.data = data, .size = program.size, .owned = true};
    } else {
        kfree(data);
    }
    program_close(&program);
    return status;
}

/* `name` is a module of the boot archive, a file there or from the host, or a path. */
static enum hx_status source_find(const char *name, struct source *out)
{
    char path[64];
    struct archive_file file;
    format_buffer(path, sizeof(path), "modules/%s.hxm", name);
    if (boot_archive_find(path, &file) == HX_OK || boot_archive_find(name, &file) == HX_OK) {
        *out = (struct source){.data = file.data, .size = file.size, .trusted = !file.from_host};
        return HX_OK;
    }
    return source_of_path(name, out);
}

static void source_drop(const struct source *source)
{
    if (source->owned) {
        kfree((void *)(uintptr_t)source->data);
    }
}

static int failed(const char *what, const char *name, enum hx_status status)
{
    const char *reason = module_reason();
    shell_printf("%s: %s: %s%s%s\n", what, name, hx_status_words(status), *reason ? ": " : "",
                 reason);
    return SHELL_FAILED;
}

/* -- lsmod */

static void list_one(struct module_instance *m, void *ctx)
{
    const bool *json = ctx;
    u32 pages = 0;
    for (u32 i = 0; m->area && i < PART_COUNT; i++) {
        pages += m->area->part[i].pages;
    }
    const struct module_manifest *f = &m->manifest;
    if (*json) {
        shell_printf("{\"name\":\"%s\",\"version\":\"%u.%u.%u\",\"state\":\"%s\","
                     "\"built_in\":%s,\"provides\":\"%s\",\"bytes\":%lu,\"held\":%u}\n",
                     f->name, f->version[0], f->version[1], f->version[2],
                     module_status_name(m->status), m->built_in ? "true" : "false",
                     f->provides[0].name, (u64)pages * HX_PAGE_SIZE, ledger_count(&m->ledger));
    } else {
        shell_printf("%-16s %2u.%u.%-3u %-12s %-14s %5lu KiB %4u held%s\n", f->name, f->version[0],
                     f->version[1], f->version[2], module_status_name(m->status),
                     f->provides[0].name, (u64)pages * HX_PAGE_SIZE >> 10, ledger_count(&m->ledger),
                     m->built_in ? "  built in" : "");
    }
}

static int command_lsmod(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    module_for_each(list_one, &json);
    return SHELL_OK;
}

SHELL_COMMAND(lsmod, .name = "lsmod", .usage = "[--json]", .summary = "lists the loaded modules",
              .details = "Name, version, state, interface, memory, entries on its ledger.",
              .run = command_lsmod);

/* -- modinfo */

static void print_manifest(const struct module_manifest *m)
{
    shell_printf("name         %s %u.%u.%u\nsummary      %s\n", m->name, m->version[0],
                 m->version[1], m->version[2], m->summary);
    for (u32 i = 0; i < MODULE_PROVIDES_MAX && m->provides[i].name[0]; i++) {
        shell_printf("provides     %s %u.%u\n", m->provides[i].name, m->provides[i].major,
                     m->provides[i].minor);
    }
    for (u32 i = 0; i < MODULE_REQUIRES_MAX && m->requires[i].name[0]; i++) {
        const struct module_requirement *r = &m->requires[i];
        shell_printf("requires     %s %u.%u to ", r->name, r->major, r->minor);
        if (r->minor_last < r->minor) {
            shell_printf("any later %u.x\n", r->major);
        } else {
            shell_printf("%u.%u\n", r->major, r->minor_last);
        }
    }
    shell_printf("capabilities");
    for (u32 i = 0; i < HX_ARRAY_SIZE(capability_names); i++) {
        if (m->capabilities >> i & 1) {
            shell_printf(" %s", capability_names[i]);
        }
    }
    shell_printf("%s\n", m->capabilities ? "" : " none");
    if (m->state_version) {
        shell_printf("state        schema 0x%08x version %u\n", m->state_schema, m->state_version);
    } else {
        shell_printf("state        none\n");
    }
    shell_printf("limits       %u ms to start, %u ticks a call\n",
                 m->init_ms ? m->init_ms : MODULE_MS_DEFAULT,
                 m->op_ticks ? m->op_ticks : MODULE_TICKS_DEFAULT);
}

static int modinfo_file(const char *name)
{
    struct source file;
    enum hx_status status = source_find(name, &file);
    if (status != HX_OK) {
        shell_printf("modinfo: %s: %s\n", name, hx_status_words(status));
        return SHELL_FAILED;
    }
    struct module_plan *plan = kmalloc(sizeof(*plan));
    struct module_reason reason = {{0}};
    if (!plan) {
        shell_printf("modinfo: %s\n", hx_status_words(HX_ERR_NO_MEMORY));
        source_drop(&file);
        return SHELL_FAILED;
    }
    status = module_file_check(file.data, file.size, hal_elf_machine, plan, &reason);
    if (status == HX_OK) {
        print_manifest(&plan->manifest);
        const struct module_trailer *trailer = module_file_trailer(file.data, file.size);
        shell_printf("file         %lu bytes, %s\n", file.size,
                     trailer->flags & MODULE_SIGNED ? "signed" : "not signed");
        shell_printf("memory       %u code, %u constants, %u data\nimports     ",
                     plan->size[PART_CODE], plan->size[PART_CONSTANT], plan->size[PART_DATA]);
        for (u32 i = 1; i < plan->symbol_count; i++) {
            if (module_symbol_is_undefined(plan, i)) {
                shell_printf(" %s", module_symbol_name(plan, i));
            }
        }
        shell_printf("%s\n", plan->undefined ? "" : " nothing");
    } else {
        shell_printf("modinfo: %s: %s: %s\n", name, hx_status_words(status), reason.text);
    }
    kfree(plan);
    source_drop(&file);
    return status == HX_OK ? SHELL_OK : SHELL_FAILED;
}

static int command_modinfo(int argc, char **argv)
{
    if (argc != 2) {
        return shell_usage("modinfo");
    }
    const struct module_instance *m = module_find(argv[1]);
    if (m && m->built_in) {
        print_manifest(&m->manifest);
        shell_printf("file         none: part of the kernel\n");
        return SHELL_OK;
    }
    return modinfo_file(argv[1]);
}

ALONE(modinfo)
SHELL_COMMAND(modinfo, .name = "modinfo", .usage = "NAME|FILE",
              .summary = "prints everything that a module says of itself", .details = "",
              .run = alone_modinfo);

/* -- load, unload */

static int command_load(int argc, char **argv)
{
    bool verify = shell_has_option(argc, argv, "--verify");
    const char *name = argv[argc - 1];
    if (argc != (verify ? 3 : 2)) {
        return shell_usage("load");
    }
    struct source file;
    enum hx_status status = source_find(name, &file);
    if (status != HX_OK) {
        shell_printf("load: %s: %s\n", name, hx_status_words(status));
        return SHELL_FAILED;
    }
    struct module_instance *m;
    u32 flags = file.trusted && !verify ? MODULE_LOAD_TRUSTED : 0;
    status = module_load(file.data, file.size, flags, file.owned, &m);
    if (status != HX_OK) {
        return failed("load", name, status);
    }
    if (!slot_is_exclusive(m->manifest.provides[0].name)) {
        status = module_start(m);
        if (status != HX_OK) {
            int result = failed("load", name, status);
            HX_IGNORE(module_unload(m), "nothing depends on what never served");
            return result;
        }
    }
    shell_printf("%s %u.%u.%u %s\n", m->manifest.name, m->manifest.version[0],
                 m->manifest.version[1], m->manifest.version[2], module_status_name(m->status));
    return SHELL_OK;
}

ALONE(load)
SHELL_COMMAND(load, .name = "load", .usage = "[--verify] NAME|FILE", .summary = "loads a module",
              .details = "Modules of the boot archive are trusted like the kernel that they came "
                         "with;\nothers need its signature, with --verify those do, too.",
              .run = alone_load);

static int command_unload(int argc, char **argv)
{
    if (argc != 2) {
        return shell_usage("unload");
    }
    struct module_instance *m = module_find(argv[1]);
    if (!m) {
        shell_printf("unload: %s: not loaded\n", argv[1]);
        return SHELL_FAILED;
    }
    enum hx_status status = module_unload(m);
    return status == HX_OK ? SHELL_OK : failed("unload", argv[1], status);
}

ALONE(unload)
SHELL_COMMAND(unload, .name = "unload", .usage = "NAME",
              .summary = "stops a module and takes everything back",
              .details = "Refused while another module depends on it or a slot has it.",
              .run = alone_unload);

/* -- ledger */

static int command_ledger(int argc, char **argv)
{
    if (argc != 2) {
        return shell_usage("ledger");
    }
    struct module_instance *m = module_find(argv[1]);
    if (!m) {
        shell_printf("ledger: %s: not loaded\n", argv[1]);
        return SHELL_FAILED;
    }
    u32 counts[LEDGER_KIND_COUNT];
    u64 irqs = spin_lock_irq(&m->ledger.lock);
    memcpy(counts, m->ledger.counts, sizeof(counts));
    spin_unlock_irq(&m->ledger.lock, irqs);
    for (u32 kind = 0; kind < LEDGER_KIND_COUNT; kind++) {
        shell_printf("%-12s %u\n", ledger_kind_name(kind), counts[kind]);
    }
    for (u32 i = 0; m->area && i < PART_COUNT; i++) {
        static const char *const parts[] = {"code", "constants", "data"};
        shell_printf("%-12s %u pages at 0x%lx\n", parts[i], m->area->part[i].pages,
                     m->area->part[i].va);
    }
    for (u32 fault = GUARD_EXCEPTION; fault < GUARD_FAULT_COUNT; fault++) {
        if (m->domain.faults[fault]) {
            shell_printf("%-12s %u\n", guard_fault_name(fault), m->domain.faults[fault]);
        }
    }
    return SHELL_OK;
}

ALONE(ledger)
SHELL_COMMAND(ledger, .name = "ledger", .usage = "MODULE", .summary = "shows what a module holds",
              .details = "", .run = alone_ledger);

/* -- deps */

struct edge {
    const struct module_instance *from;
    u32 count;
};

static void print_edge(struct module_instance *m, void *ctx)
{
    struct edge *edge = ctx;
    for (u32 i = 0; i < MODULE_REQUIRES_MAX && edge->from->manifest.requires[i].name[0]; i++) {
        const struct module_requirement *r = &edge->from->manifest.requires[i];
        if (module_table(m, r->name, r->major)) {
            shell_printf("%s -> %s (%s %u.%u)\n", edge->from->manifest.name, m->manifest.name,
                         r->name, r->major, r->minor);
            edge->count++;
        }
    }
}

/* With the registry locked by the outer walk, so the inner one is by hand: names are collected. */
struct names {
    struct module_instance *list[64];
    u32 count;
};

static void collect(struct module_instance *m, void *ctx)
{
    struct names *names = ctx;
    if (names->count < HX_ARRAY_SIZE(names->list)) {
        names->list[names->count++] = m;
    }
}

static int command_deps(int argc, char **argv)
{
    (void)argv;
    if (argc > 2) {
        return shell_usage("deps");
    }
    struct names names = {.count = 0};
    module_for_each(collect, &names);
    struct edge edge = {.count = 0};
    for (u32 i = 0; i < names.count; i++) {
        edge.from = names.list[i];
        if (argc == 2 && !str_equal(argv[1], edge.from->manifest.name)) {
            continue;
        }
        for (u32 j = 0; j < names.count; j++) {
            print_edge(names.list[j], &edge);
        }
    }
    if (edge.count == 0) {
        shell_printf("nothing depends on anything\n");
    }
    return SHELL_OK;
}

ALONE(deps)
SHELL_COMMAND(deps, .name = "deps", .usage = "[MODULE]",
              .summary = "shows which module needs which, and for what", .details = "",
              .run = alone_deps);

/* -- slots, swap, rollback */

static int command_slots(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    HX_SET_FOREACH (slots, it) {
        const struct slot *slot = *it;
        const struct slot_state *state = slot->state;
        const char *module = state->current ? state->current->manifest.name : SLOT_OWN;
        if (json) {
            shell_printf("{\"name\":\"%s\",\"major\":%u,\"module\":\"%s\",\"serving\":\"%s\","
                         "\"probation\":%s,\"swaps\":%lu,\"failures\":%lu,\"rollbacks\":%lu,"
                         "\"faults\":%lu}\n",
                         slot->name, slot->major, module, slot->ops->serving(),
                         state->in_probation ? "true" : "false", state->swaps, state->failures,
                         state->rollbacks, state->faults);
        } else {
            shell_printf(
                "%-14s %-14s serving %-14s %lu swaps, %lu failed, %lu back, %lu faults%s\n",
                slot->name, module, slot->ops->serving(), state->swaps, state->failures,
                state->rollbacks, state->faults, state->in_probation ? ", in probation" : "");
        }
    }
    return SHELL_OK;
}

SHELL_COMMAND(slots, .name = "slots", .usage = "[--json]",
              .summary = "lists what can be exchanged, and what serves", .details = "",
              .run = command_slots);

static int print_report(const char *what, const struct slot *slot, const struct slot_report *report)
{
    if (report->status != HX_OK) {
        shell_printf("%s: %s: phase %u (%s): %s: %s\n", what, slot->name, report->phase,
                     slot_phase_name(report->phase), hx_status_words(report->status), report->why);
        return SHELL_FAILED;
    }
    shell_printf("%s: %s serves, pause %lu cycles, %lu us in all\n", slot->name,
                 slot->ops->serving(), report->pause, report->total_ns / HX_NS_PER_US);
    return SHELL_OK;
}

static int command_swap(int argc, char **argv)
{
    struct slot_wish wish = {.flags = MODULE_LOAD_TRUSTED};
    const char *names[2];
    u32 count = 0;
    for (int i = 1; i < argc; i++) {
        if (str_equal(argv[i], "--timeout") && i + 1 < argc &&
            str_to_u64(argv[i + 1], &wish.timeout_ms)) {
            i++;
        } else if (str_equal(argv[i], "--downgrade")) {
            wish.downgrade = true;
        } else if (str_equal(argv[i], "--verify")) {
            wish.flags = 0;
        } else if (count < 2) {
            names[count++] = argv[i];
        } else {
            return shell_usage("swap");
        }
    }
    const struct slot *slot = count == 2 ? slot_find(names[0]) : NULL;
    if (count != 2) {
        return shell_usage("swap");
    }
    if (!slot) {
        shell_printf("swap: %s: no such slot\n", names[0]);
        return SHELL_FAILED;
    }
    struct source file;
    struct module_instance *m = module_find(names[1]);
    if (str_equal(names[1], SLOT_OWN)) {
        wish.file = NULL;
    } else if (m && m->status == MODULE_INITIALIZED) {
        wish.m = m;
    } else {
        enum hx_status status = source_find(names[1], &file);
        if (status != HX_OK) {
            shell_printf("swap: %s: %s\n", names[1], hx_status_words(status));
            return SHELL_FAILED;
        }
        wish.file = file.data;
        wish.size = file.size;
        wish.owned = file.owned;
        wish.flags = file.trusted ? wish.flags : 0;
    }
    struct slot_report report;
    HX_IGNORE(slot_swap(slot, &wish, &report), "it is in the report");
    return print_report("swap", slot, &report);
}

ALONE(swap)
SHELL_COMMAND(swap, .name = "swap", .usage = "SLOT MODULE|own [--timeout MS]",
              .summary = "exchanges what serves a slot, while it serves",
              .details = "The old one is kept until the new one has proved itself. `own` is the "
                         "kernel's own.\n--downgrade lets an older version of the same module "
                         "in, --verify asks for a signature.",
              .run = alone_swap);

static int command_rollback(int argc, char **argv)
{
    const struct slot *slot = argc == 2 ? slot_find(argv[1]) : NULL;
    if (argc != 2) {
        return shell_usage("rollback");
    }
    if (!slot) {
        shell_printf("rollback: %s: no such slot\n", argv[1]);
        return SHELL_FAILED;
    }
    struct slot_report report;
    HX_IGNORE(slot_rollback(slot, &report), "it is in the report");
    return print_report("rollback", slot, &report);
}

ALONE(rollback)
SHELL_COMMAND(rollback, .name = "rollback", .usage = "SLOT",
              .summary = "goes back to what served a slot before", .details = "",
              .run = alone_rollback);

/* -- inject */

#define FAULT_LIST                                                                                 \
    "faults: null wild undefined divide assert stack hang\n"                                       \
    "With --phase: the phase of that name fails in the next swap."

static int command_inject(int argc, char **argv)
{
    if (argc == 3 && str_equal(argv[1], "--phase")) {
        for (enum slot_phase phase = SLOT_READ; phase <= SLOT_COMMIT; phase++) {
            if (str_equal(slot_phase_name(phase), argv[2])) {
                slot_fail(phase, 1);
                return SHELL_OK;
            }
        }
        shell_printf("inject: %s: no such phase\n", argv[2]);
        return SHELL_FAILED;
    }
    enum inject_fault fault = argc == 3 ? inject_parse(argv[2]) : INJECT_NONE;
    if (fault == INJECT_NONE) {
        return shell_usage("inject");
    }
    struct module_instance *m = module_find(argv[1]);
    if (!m || m->built_in) {
        shell_printf("inject: %s: no loaded module\n", argv[1]);
        return SHELL_FAILED;
    }
    const char *name = slot_of_module(m);
    bool serves = name != NULL;
    if (serves && fault == INJECT_HANG && !slot_find(name)->timed) {
        shell_printf("inject: %s is called with interrupts masked: a hang there is not survived\n",
                     argv[1]);
        return SHELL_FAILED;
    }
    inject(&m->domain, fault);
    if (!serves) { /* nobody else calls it */
        enum hx_status status = module_probe(m);
        shell_printf("%s: %s by %s\n", argv[1], status == HX_ERR_FAULT ? "ended" : "answered",
                     status == HX_ERR_FAULT ? guard_fault_name(m->domain.report.fault) : "itself");
    }
    return SHELL_OK;
}

ALONE(inject)
SHELL_COMMAND(inject, .name = "inject", .usage = "MODULE FAULT | --phase PHASE",
              .summary = "has a module fail, or a swap", .details = FAULT_LIST,
              .run = alone_inject);
