/* SPDX-License-Identifier: MIT */
/* The system family of commands.
 * Context: the shell's thread. Each prints what the kernel knows, from the place that owns it.
 */
#include <core/console.h>
#include <core/irq.h>
#include <core/log.h>
#include <core/orchestrator.h>
#include <core/panic.h>
#include <core/shell.h>
#include <core/time.h>
#include <core/trap.h>
#include <hal/cpu.h>
#include <hal/firmware.h>
#include <hal/serial.h>
#include <hal/smp.h>
#include <hal/timer.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <helix/version.h>

static int command_help(int argc, char **argv)
{
    bool names = argc == 2 && str_equal(argv[1], "--names");
    bool except = argc > 1 && str_equal(argv[1], "--except");
    if (argc > 2 && !except) {
        return shell_usage("help");
    }
    bool all = argc == 1 || names || except, found = all;
    HX_SET_FOREACH (shell_commands, it) {
        const struct shell_command *c = *it;
        if (all && !(except && shell_has_option(argc, argv, c->name))) {
            shell_printf(names ? "%s\n" : "%-10s %s\n", c->name, c->summary);
        } else if (!all && str_equal(c->name, argv[1])) {
            shell_printf("%s - %s\nusage: %s %s\n", c->name, c->summary, c->name, c->usage);
            shell_printf("%s%s", c->details, *c->details ? "\n" : "");
            found = true;
        }
    }
    if (!found) {
        shell_printf("help: no command %s\n", argv[1]);
    }
    return found ? SHELL_OK : SHELL_FAILED;
}

static int command_version(int argc, char **argv)
{
    if (shell_has_option(argc, argv, "--json")) {
        shell_printf("{\"name\":\"Helix\",\"version\":\"%s\",\"arch\":\"%s\",\"board\":\"%s\","
                     "\"build\":\"%s\",\"variant\":\"%s\",\"profile\":\"%s\"}\n",
                     helix_version, hal_arch_name, hal_board_name(), helix_build_id, helix_variant,
                     helix_profile_name);
    } else {
        shell_printf("Helix %s %s %s build %s %s profile %s\n", helix_version, hal_arch_name,
                     hal_board_name(), helix_build_id, helix_variant, helix_profile_name);
    }
    return SHELL_OK;
}

static int command_uptime(int argc, char **argv)
{
    u64 ns = time_now_ns();
    if (shell_has_option(argc, argv, "--json")) {
        shell_printf("{\"uptime_ns\":%lu}\n", ns);
        return SHELL_OK;
    }
    u64 seconds = ns / HX_NS_PER_SEC;
    shell_printf("up %lu days %02lu:%02lu:%02lu.%03lu\n", seconds / 86400, seconds / 3600 % 24,
                 seconds / 60 % 60, seconds % 60, ns / HX_NS_PER_MS % 1000);
    return SHELL_OK;
}

static int command_uname(int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && !str_equal(argv[1], "-a"))) {
        return shell_usage("uname");
    }
    if (argc == 1) {
        shell_printf("Helix\n");
    } else {
        shell_printf("Helix %s %s %s %s\n", hal_board_name(), helix_version, helix_build_id,
                     hal_arch_name);
    }
    return SHELL_OK;
}

static int command_dmesg(int argc, char **argv)
{
    static struct log_entry entry;
    enum log_level level = LOG_DEBUG;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (str_equal(argv[i], "--json")) {
            json = true;
        } else if (!str_equal(argv[i], "-l") || ++i == argc || !log_level_parse(argv[i], &level)) {
            return shell_usage("dmesg");
        }
    }
    u64 cursor = 0, end = log_next_sequence();
    while (cursor < end && log_read(&cursor, &entry)) {
        if (entry.level > level) {
            continue;
        }
        if (json) {
            shell_printf("{\"seq\":%lu,\"time_ns\":%lu,\"level\":\"%s\",\"area\":\"%s\",\"text\":",
                         entry.sequence, entry.time_ns, log_level_name(entry.level), entry.area);
            shell_print_json_string(entry.text);
            shell_printf("}\n");
        } else {
            shell_printf("[%4lu.%06lu] %-5s %s: %s\n", entry.time_ns / HX_NS_PER_SEC,
                         entry.time_ns / HX_NS_PER_US % 1000000, log_level_name(entry.level),
                         entry.area, entry.text);
        }
    }
    return SHELL_OK;
}

static int command_irq(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    struct irq_stats stats;
    if (!json) {
        shell_printf("controller %s, %u lines, %lu spurious\n", hal_irq.name, hal_irq.lines,
                     irq_spurious_count());
        shell_printf("%5s %12s %10s  %s\n", "line", "count", "unhandled", "handler");
    }
    for (irq_t irq = 0; irq_stats_read(irq, &stats); irq++) {
        if (stats.handlers == 0 && stats.count == 0) {
            continue;
        }
        const char *name = stats.name ? stats.name : "-";
        if (json) {
            shell_printf("{\"irq\":%u,\"count\":%lu,\"unhandled\":%lu,\"handlers\":%u,"
                         "\"masked\":%s,\"handler\":\"%s\"}\n",
                         irq, stats.count, stats.unhandled, stats.handlers,
                         stats.masked_as_stuck ? "true" : "false", name);
        } else {
            shell_printf("%5u %12lu %10lu  %s%s\n", irq, stats.count, stats.unhandled, name,
                         stats.masked_as_stuck ? " (masked: stuck)" : "");
        }
    }
    return SHELL_OK;
}

static int command_cpu(int argc, char **argv)
{
    static const char *const features[] = {
        [CPU_NO_EXECUTE] = "no-execute",
        [CPU_NO_EXEC_USER] = "no-exec-user",
        [CPU_NO_ACCESS_USER] = "no-access-user",
        [CPU_HUGE_PAGES] = "1g-pages",
        [CPU_RANDOM] = "random",
        [CPU_CRC32C] = "crc32c",
    };
    _Static_assert(HX_ARRAY_SIZE(features) == CPU_FEATURE_COUNT, "a feature without a name");
    char model[64];
    hal_cpu.name(model, sizeof(model));
    bool json = shell_has_option(argc, argv, "--json");
    u32 count = hal_smp.count();
    for (cpu_id_t cpu = 0; cpu < count; cpu++) {
        if (json) {
            shell_printf("{\"cpu\":%u,\"hw_id\":%lu,\"running\":%s}\n", cpu, hal_smp.hw_id(cpu),
                         cpu == 0 ? "true" : "false");
        } else {
            shell_printf("cpu %u: hardware id 0x%lx%s\n", cpu, hal_smp.hw_id(cpu),
                         cpu == 0 ? ", running" : "");
        }
    }
    if (!json) {
        shell_printf("%u CPUs, started by %s; %s; timer %s at %lu Hz;", count, hal_smp.name, model,
                     hal_timer.name, hal_timer.frequency());
        for (u32 i = 0; i < CPU_FEATURE_COUNT; i++) {
            shell_printf("%s%s", hal_cpu.has(i) ? " " : "", hal_cpu.has(i) ? features[i] : "");
        }
        shell_printf("\n");
    }
    return SHELL_OK;
}

static int command_reboot(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    enum hx_status status = orchestrator_shutdown();
    if (status == HX_OK) {
        status = hal_firmware.reset();
    }
    shell_printf("reboot: %s: %s\n", hal_firmware.name, hx_status_words(status));
    return SHELL_FAILED;
}

static int command_poweroff(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    enum hx_status status = orchestrator_shutdown();
    if (status == HX_OK) {
        machine_end(0);
    }
    shell_printf("poweroff: %s\n", hx_status_words(status));
    return SHELL_FAILED;
}

/* Recursion with a frame that grows; the result is used, so that no call becomes a jump. */
static HX_NOINLINE u64 overflow_stack(volatile u64 *outer)
{
    volatile u64 inner[32];
    if (*outer == UINT64_MAX) {
        return 0;
    }
    inner[0] = *outer + 1;
    return overflow_stack(inner) + inner[0];
}

static int command_panic(int argc, char **argv)
{
    const char *how = argc == 3 && str_equal(argv[1], "--by") ? argv[2] : "";
    volatile u64 seed = 0;
    if (str_equal(how, "null")) {
        *(volatile u32 *)seed = 0; // NOLINT(clang-analyzer-core.NullDereference)
    } else if (str_equal(how, "undefined")) {
        __builtin_trap();
    } else if (str_equal(how, "stack")) {
        seed = overflow_stack(&seed);
    } else if (str_equal(how, "assert")) {
        HX_ASSERT(seed == 1);
    } else if (str_equal(how, "text")) {
        *(volatile u8 *)(uintptr_t)command_panic = 0;
    } else if (str_equal(how, "execute")) {
        static u8 data[16];
        ((void (*)(void))(uintptr_t)data)();
    } else if (argc > 1) {
        return shell_usage("panic");
    }
    panic("asked for by the shell");
}

static int command_loglevel(int argc, char **argv)
{
    enum log_level level;
    if (argc != 2 || !log_level_parse(argv[1], &level)) {
        return shell_usage("loglevel");
    }
    log_console_level(level);
    return SHELL_OK;
}

SHELL_COMMAND_ADMIN(loglevel, "loglevel", "LEVEL", "which lines of the log reach the console",
                    "LEVEL is panic, error, warn, info or debug.", command_loglevel);
SHELL_COMMAND(help, "help", "[NAME | --names | --except NAME...]",
              "list the commands, or show the page of one", "", command_help);
SHELL_COMMAND(version, "version", "[--json]", "name, version, architecture, board and build", "",
              command_version);
SHELL_COMMAND(uptime, "uptime", "[--json]", "time since the kernel's first instruction", "",
              command_uptime);
SHELL_COMMAND(uname, "uname", "[-a]", "the system's name", "", command_uname);
SHELL_COMMAND(dmesg, "dmesg", "[-l LEVEL] [--json]", "the kernel's log",
              "LEVEL is panic, error, warn, info or debug; more urgent lines are included.",
              command_dmesg);
SHELL_COMMAND(irq, "irq", "[--json]", "interrupt lines, their counts and handlers", "",
              command_irq);
SHELL_COMMAND(cpu, "cpu", "[--json]", "the CPUs and what they can do", "", command_cpu);
SHELL_COMMAND_ADMIN(reboot, "reboot", "", "restart the machine", "", command_reboot);
SHELL_COMMAND_ADMIN(poweroff, "poweroff", "", "switch the machine off", "", command_poweroff);
SHELL_COMMAND_ADMIN(
    panic, "panic", "[--by null|undefined|stack|assert|text|execute]",
    "stop the system with a report",
    "With --by, causes the named fault in the kernel instead of asking for a panic.",
    command_panic);
