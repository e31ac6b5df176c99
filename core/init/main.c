/* SPDX-License-Identifier: MIT */
/* kernel_main: the one path that brings every machine up.
 * Owns:      the core's components.      Caller: boot/<arch>.    Context: early, boot CPU.
 * What comes before the components is what reporting their failures takes: the serial line, the
 * command line, what the loader said. The rest comes up in the order of its needs.
 */
#include <core/cmdline.h>
#include <core/cpu.h>
#include <core/console.h>
#include <core/execution.h>
#include <core/grace.h>
#include <core/init.h>
#include <core/irq.h>
#include <core/log.h>
#include <core/memory.h>
#include <core/orchestrator.h>
#include <core/panic.h>
#include <core/random.h>
#include <core/sanitize.h>
#include <core/sched.h>
#include <core/shell.h>
#include <core/task.h>
#include <core/time.h>
#include <core/trap.h>
#include <hal/cpu.h>
#include <hal/firmware.h>
#include <hal/hal.h>
#include <hal/serial.h>
#include <hal/smp.h>
#include <hal/timer.h>
#include <helix/format.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <helix/version.h>

#define STATUS_NOT_RUN 127 /* what a shell answers for a command that it does not find */

static const struct boot_info *boot;

const struct boot_info *boot_info_get(void)
{
    return boot;
}

static const char *const known_words[] = {
    "loglevel", "exit",  "exec",   "nonce",   "mount",    "panic",     "init",
    "ktest",    "seed",  "frames", "ramdisk", "heapfail", "framefail", "sched",
    "realtime", "guard", "system", "rtms",    NULL,
};

static u64 ram_mib(const struct boot_info *info)
{
    u64 bytes = 0;
    for (u32 i = 0; i < info->region_count; i++) {
        bytes += info->regions[i].kind <= BOOT_REGION_KERNEL ? info->regions[i].size : 0;
    }
    return bytes >> 20;
}

static void start_serial(const struct boot_info *info)
{
    hal_cpu.init_early();
    cpu_init_boot();
    task_init_early();
    hal_init_early(info);
    console_init();
}

/* The profile's words first, then the loader's, then the host's: the last of equal names counts. */
static void read_loader_words(const struct boot_info *info)
{
    cmdline_add(helix_profile_cmdline);
    cmdline_add(info->cmdline);
}

static void apply_words(void)
{
    const char *word = cmdline_get("loglevel");
    enum log_level level;
    if (word && log_level_parse(word, &level)) {
        log_console_level(level);
    } else if (word) {
        log_warn("cmdline", "loglevel=%s is none of panic, error, warn, info, debug", word);
    }
    word = cmdline_get("panic");
    if (word && str_equal(word, "reboot")) {
        panic_set_action(PANIC_REBOOT);
    }
}

static void report_boot_info(const struct boot_info *info)
{
    log_info("boot", "Helix %s %s, build %s %s, profile %s", helix_version, hal_arch_name,
             helix_build_id, helix_variant, helix_profile_name);
    log_info("boot", "loader %s, %lu MiB in %u regions, %u modules",
             info->loader[0] ? info->loader : "unknown", ram_mib(info), info->region_count,
             info->module_count);
    if (info->warning) {
        log_warn("boot", "%s", info->warning);
    }
    if (info->cmdline_cut) {
        log_warn("boot", "command line cut at %d bytes", BOOT_CMDLINE_MAX - 1);
    }
    if (info->regions_dropped) {
        log_warn("boot", "%u memory regions made no sense or did not fit", info->regions_dropped);
    }
    if (info->modules_dropped) {
        log_warn("boot", "%u boot modules dropped", info->modules_dropped);
    }
}

static void report_platform(void)
{
    char model[64];
    hal_cpu.name(model, sizeof(model));
    log_info("cpu", "%s, %u CPUs seen (%s)", model, hal_smp.count(), hal_smp.name);
    log_info("irq", "%s, %u lines", hal_irq.name, hal_irq.lines);
    log_info("firmware", "%s on board %s", hal_firmware.name, hal_board_name());
}

static void start_consoles(const struct boot_info *info)
{
    enum hx_status status = console_framebuffer_init(&info->framebuffer);
    if (status != HX_OK && status != HX_ERR_NOT_FOUND) {
        log_warn("console", "framebuffer not usable: %s", hx_status_words(status));
    }
    console_input_init();
    char names[64];
    console_names(names, sizeof(names));
    log_info("console", "%s (%s)", names, hal_serial.name);
}

static enum hx_status start_memory(void)
{
    enum hx_status status = memory_init(boot);
    if (status == HX_OK) {
        status = memory_init_frames();
    }
    if (status == HX_OK) {
        status = memory_init_heap();
    }
    if (status == HX_OK) {
        kasan_init();
    }
    return status;
}

static enum hx_status start_cpu(void)
{
    return hal_cpu.init(0);
}

static enum hx_status start_platform(void)
{
    enum hx_status status = hal_init_platform(boot);
    if (status == HX_OK) {
        cmdline_add_from_host();
        apply_words();
        memory_failures_begin();
        report_platform();
        hal_irq.init_cpu(0);
    }
    return status;
}

static enum hx_status start_time(void)
{
    enum hx_status status = time_init(boot->entry_counter);
    if (status == HX_OK) {
        log_info("time", "%s at %lu Hz", hal_timer.name, hal_timer.frequency());
    }
    return status;
}

static enum hx_status start_scheduler(void)
{
    return sched_init();
}

/* From here on there are threads, interrupts and randomness. */
static enum hx_status start_tasks(void)
{
    enum hx_status status = task_init();
    if (status == HX_OK) {
        random_init();
        hal_irq_enable();
    }
    return status;
}

static enum hx_status start_cpus(void)
{
    cpu_start_others();
    return HX_OK;
}

static enum hx_status cpus_health(char *words, size_t size)
{
    u32 seen = hal_smp.count(), online = cpu_online_count();
    format_buffer(words, size, "%u of %u CPUs run", online, seen);
    return online == seen ? HX_OK : HX_ERR_NOT_READY;
}

static enum hx_status start_devices(void)
{
    hal_init_devices();
    return HX_OK;
}

static enum hx_status start_console(void)
{
    start_consoles(boot);
    cmdline_report_unknown(known_words);
    return HX_OK;
}

static void trap_stats(void (*report)(void *ctx, const char *name, u64 value), void *ctx)
{
    report(ctx, "page_faults", trap_count(TRAP_PAGE_FAULT));
    report(ctx, "spurious_irqs", irq_spurious_count());
}

COMPONENT(memory, .name = "memory", .version = "1.0", .vital = true, .init = start_memory);
COMPONENT(cpu, .name = "cpu", .version = "1.0", .needs = "memory", .vital = true,
          .init = start_cpu);
COMPONENT(platform, .name = "platform", .version = "1.0", .needs = "cpu", .vital = true,
          .init = start_platform, .stats = trap_stats);
COMPONENT(time, .name = "time", .version = "1.0", .needs = "platform", .vital = true,
          .init = start_time);
COMPONENT(scheduler, .name = "scheduler", .version = "1.0", .needs = "time", .vital = true,
          .init = start_scheduler);
COMPONENT(tasks, .name = "tasks", .version = "1.0", .needs = "scheduler", .vital = true,
          .init = start_tasks);
COMPONENT(grace, .name = "grace", .version = "1.0", .needs = "tasks", .vital = true,
          .init = grace_init);
COMPONENT(cpus, .name = "cpus", .version = "1.0", .needs = "grace", .vital = true,
          .init = start_cpus, .health = cpus_health);
COMPONENT(hardware, .name = "hardware", .version = "1.0", .needs = "cpus", .vital = true,
          .init = start_devices);
COMPONENT(console, .name = "console", .version = "1.0", .needs = "hardware", .vital = true,
          .init = start_console);
/* What everything above the core needs. */
COMPONENT(kernel, .name = "kernel", .version = "1.0", .needs = "console", .vital = true,
          .init = memory_seal);

/* Nobody types where the host has said what is to be run: there the kernel's own shell would wait
 * for ever, so the machine ends, with the status of a command that is not there. Not when it is
 * being shut down already, which ends the first program, too: that has a status of its own.
 */
static void end_when_unattended(void)
{
    if (cmdline_get("exec") && orchestrator_shutdown() == HX_OK) {
        log_error("init", "nothing is left to run what the host asked for");
        machine_end(STATUS_NOT_RUN);
    }
}

/* The profile's first program. Without one, or when it has ended, the kernel's own shell answers.
 */
static void run_first_process(void)
{
    const char *name = cmdline_get("init");
    s64 value = 0;
    log_info("init", "starting %s", name ? name : "the kernel's own shell");
    enum hx_status status = name ? execution_first_process(name, &value) : HX_ERR_NOT_FOUND;
    if (status == HX_OK) {
        log_error("init", "%s ended with status %ld", name, value);
    } else {
        log_error("init", "%s: %s", name ? name : "no program named", hx_status_words(status));
    }
}

/* Not inlined, like shell_main(): both stand at the end of every backtrace. */
HX_NOINLINE void kernel_main(struct boot_info *info)
{
    boot = info;
    start_serial(info);
    read_loader_words(info);
    apply_words();
    report_boot_info(info);
    if (info->problem) {
        panic("boot: %s", info->problem);
    }
    orchestrator_start();
    memory_failures_end();
    run_first_process();
    end_when_unattended();
    shell_main();
}
