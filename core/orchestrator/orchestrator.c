/* SPDX-License-Identifier: MIT */
/* Bringing the components up and down, and the state of the system.
 * Owns:      the order, the state of each component, the state of the system.
 * Callers:   kernel_main; poweroff and reboot; panic.
 * Context:   start: early, boot CPU. Shutdown: thread. The state: any.
 *
 *   EarlyBoot --orchestrator_start()--> Initializing --all tried--> Running
 *   Running --orchestrator_shutdown()--> ShuttingDown
 *   each of them --panic()--> Panic
 *
 * Invariant: (1) a component is started after all it needs are running, and stopped before any of
 *            them; it is started at most once.
 *            (2) `state` changes by compare and exchange along the arrows above, so that of two who
 *            shut down one does.
 */
#include <core/orchestrator.h>
#include <core/shell.h>
#include <core/time.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>

#define SHUTDOWN_NS (5 * HX_NS_PER_SEC) /* what one component may take to end */
#define WORDS_MAX   96

static struct {
    u32 state;                /* a: enum system_state, inv 2 */
    u8 order[COMPONENTS_MAX]; /* indices into the linker set */
    u32 ordered;
    u8 states[COMPONENTS_MAX]; /* enum component_state, by index */
} system;

static u32 component_count(void)
{
    return (u32)(__stop_hx_set_components - __start_hx_set_components);
}

static const struct component *component(u32 index)
{
    return __start_hx_set_components[index];
}

enum system_state system_state(void)
{
    return __atomic_load_n(&system.state, __ATOMIC_ACQUIRE);
}

const char *system_state_name(enum system_state state)
{
    static const char *const names[] = {
        [SYSTEM_EARLY_BOOT] = "EarlyBoot", [SYSTEM_INITIALIZING] = "Initializing",
        [SYSTEM_RUNNING] = "Running",      [SYSTEM_SHUTTING_DOWN] = "ShuttingDown",
        [SYSTEM_PANIC] = "Panic",
    };
    _Static_assert(HX_ARRAY_SIZE(names) == SYSTEM_STATE_COUNT, "a state without a name");
    return state < SYSTEM_STATE_COUNT ? names[state] : "?";
}

static bool is_legal(u32 from, enum system_state to)
{
    return to < SYSTEM_STATE_COUNT && from != SYSTEM_PANIC &&
           (to == SYSTEM_PANIC || to == from + 1);
}

enum hx_status system_state_set(enum system_state to)
{
    u32 from = __atomic_load_n(&system.state, __ATOMIC_ACQUIRE);
    do {
        if (!is_legal(from, to)) {
            return HX_ERR_BAD_STATE;
        }
    } while (!__atomic_compare_exchange_n(&system.state, &from, to, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return HX_OK;
}

static void enter(enum system_state to)
{
    if (system_state_set(to) != HX_OK) {
        panic("from state %s to %s", system_state_name(system_state()), system_state_name(to));
    }
}

static void report_problem(void *ctx, const char *line)
{
    (void)ctx;
    log_error("init", "%s", line);
}

/* The first of its needs that is not running, or NULL. */
static const struct component *missing_need(const struct component *c)
{
    if (!c->needs || str_equal(c->needs, "*")) {
        return NULL;
    }
    for (u32 i = 0; i < component_count(); i++) {
        const char *name = component(i)->name;
        size_t size = strlen(name);
        for (const char *at = c->needs; *at && system.states[i] != COMPONENT_RUNNING;) {
            const char *space = strchr(at, ' ');
            size_t length = space ? (size_t)(space - at) : strlen(at);
            if (length == size && memcmp(at, name, size) == 0) {
                return component(i);
            }
            at += length + (space != NULL);
        }
    }
    return NULL;
}

static void start_one(u32 index)
{
    const struct component *c = component(index);
    const struct component *missing = missing_need(c);
    if (missing) {
        system.states[index] = COMPONENT_LEFT_OUT;
        log_error("init", "%s: left out, %s is not running", c->name, missing->name);
    } else {
        enum hx_status status = c->init ? c->init() : HX_OK;
        system.states[index] = status == HX_OK ? COMPONENT_RUNNING : COMPONENT_FAILED;
        if (status != HX_OK) {
            log_error("init", "%s: %s", c->name, hx_status_words(status));
        }
    }
    if (c->vital && system.states[index] != COMPONENT_RUNNING) {
        panic("%s did not start", c->name);
    }
}

void orchestrator_start(void)
{
    enter(SYSTEM_INITIALIZING);
    HX_ASSERT(component_count() <= COMPONENTS_MAX);
    memset(system.states, COMPONENT_LEFT_OUT, component_count());
    system.ordered = components_order(__start_hx_set_components, component_count(), system.order,
                                      report_problem, NULL);
    for (u32 i = 0; i < system.ordered; i++) {
        system.states[system.order[i]] = COMPONENT_WAITING;
    }
    for (u32 i = 0; i < component_count(); i++) {
        if (component(i)->vital && system.states[i] != COMPONENT_WAITING) {
            panic("%s has no place in the order", component(i)->name);
        }
    }
    for (u32 i = 0; i < system.ordered; i++) {
        start_one(system.order[i]);
    }
    enter(SYSTEM_RUNNING);
}

enum hx_status orchestrator_shutdown(void)
{
    enum hx_status status = system_state_set(SYSTEM_SHUTTING_DOWN);
    if (status != HX_OK) {
        return status;
    }
    log_info("init", "shutting down");
    for (u32 i = system.ordered; i-- > 0;) {
        u32 index = system.order[i];
        const struct component *c = component(index);
        if (system.states[index] == COMPONENT_RUNNING) {
            status = c->shutdown ? c->shutdown(time_now_ns() + SHUTDOWN_NS) : HX_OK;
            system.states[index] = COMPONENT_STOPPED;
            if (status != HX_OK) {
                log_error("init", "%s: shutting down: %s", c->name, hx_status_words(status));
            }
        }
    }
    return HX_OK;
}

/* the command */

static const char *component_state_name(u32 index)
{
    static const char *const names[] = {
        [COMPONENT_WAITING] = "waiting", [COMPONENT_RUNNING] = "running",
        [COMPONENT_FAILED] = "failed",   [COMPONENT_LEFT_OUT] = "left-out",
        [COMPONENT_STOPPED] = "stopped",
    };
    _Static_assert(HX_ARRAY_SIZE(names) == COMPONENT_STATE_COUNT, "a state without a name");
    return names[system.states[index]];
}

struct stat_listing {
    bool json, first;
};

static void print_stat(void *ctx, const char *name, u64 value)
{
    struct stat_listing *listing = ctx;
    if (listing->json) {
        shell_printf("%s\"%s\":%lu", listing->first ? "" : ",", name, value);
    } else {
        shell_printf("    %-24s %lu\n", name, value);
    }
    listing->first = false;
}

/* True when it is running and well. */
static bool print_health(u32 index, bool json, bool stats)
{
    const struct component *c = component(index);
    char words[WORDS_MAX] = "";
    bool running = system.states[index] == COMPONENT_RUNNING;
    enum hx_status status = running && c->health ? c->health(words, sizeof(words)) : HX_OK;
    if (status != HX_OK && !words[0]) {
        HX_IGNORE(str_copy(words, hx_status_words(status), sizeof(words)), "a cut text is a text");
    }
    const char *health = !running ? "-" : status == HX_OK ? "well" : "ill";
    struct stat_listing listing = {json, true};
    if (json) {
        shell_printf("{\"name\":\"%s\",\"version\":\"%s\",\"state\":\"%s\",\"health\":\"%s\","
                     "\"needs\":\"%s\",\"words\":",
                     c->name, c->version, component_state_name(index), health,
                     c->needs ? c->needs : "");
        shell_print_json_string(words);
        shell_printf(",\"stats\":{");
    } else {
        shell_printf("%-14s %-7s %-9s %-6s %s\n", c->name, c->version, component_state_name(index),
                     health, words);
    }
    if (running && c->stats && (stats || json)) {
        c->stats(print_stat, &listing);
    }
    shell_printf("%s", json ? "}}\n" : "");
    return running && status == HX_OK;
}

static int command_health(int argc, char **argv)
{
    bool json = false, stats = false, found = false, well = true;
    const char *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (str_equal(argv[i], "--json")) {
            json = true;
        } else if (str_equal(argv[i], "--stats")) {
            stats = true;
        } else if (argv[i][0] != '-' && !name) {
            name = argv[i];
        } else {
            return shell_usage("health");
        }
    }
    if (!json && !name) {
        shell_printf("system %s\n%-14s %-7s %-9s %-6s\n", system_state_name(system_state()),
                     "component", "version", "state", "health");
    }
    for (u32 i = 0; i < component_count(); i++) {
        /* In the order of their start; what has no place in it comes last. */
        u32 index = i < system.ordered ? system.order[i] : i;
        if (!name || str_equal(name, component(index)->name)) {
            found = true;
            well = print_health(index, json, stats || name) && well;
        }
    }
    if (name && !found) {
        shell_printf("health: no component %s\n", name);
        return SHELL_FAILED;
    }
    return well ? SHELL_OK : SHELL_FAILED;
}

SHELL_COMMAND(health, "health", "[--json] [--stats] [NAME]",
              "the components of the kernel: their states, health and figures",
              "The status is 1 when one is not running or not well.", command_health);
