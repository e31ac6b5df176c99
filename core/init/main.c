/* SPDX-License-Identifier: MIT */
/* kernel_main: the one path that brings every machine up, a line a step.
 * Owns:      the order of the steps.     Caller: boot/<arch>.    Context: early, boot CPU.
 * A step that fails and without which nothing works is a panic that names it; the others are
 * reported and left out.
 */
#include <core/cmdline.h>
#include <core/console.h>
#include <core/init.h>
#include <core/irq.h>
#include <core/log.h>
#include <core/panic.h>
#include <core/sanitize.h>
#include <core/shell.h>
#include <core/time.h>
#include <hal/cpu.h>
#include <hal/firmware.h>
#include <hal/hal.h>
#include <hal/serial.h>
#include <hal/smp.h>
#include <hal/timer.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <helix/version.h>

static const struct boot_info *boot;

const struct boot_info *boot_info_get(void)
{
    return boot;
}

static const char *const known_words[] = {
    "loglevel", "exit", "exec", "nonce", "panic", "init", "ktest", "seed", NULL,
};

static void must(enum hx_status status, const char *step)
{
    if (status != HX_OK) {
        panic("%s: %s", step, hx_status_words(status));
    }
}

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

static void run_last_steps(void)
{
    HX_SET_FOREACH (init_steps, it) {
        enum hx_status status = (*it)->run();
        if (status != HX_OK) {
            log_error("init", "%s: %s", (*it)->name, hx_status_words(status));
        }
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
    must(memory_init(info), "memory");
    kasan_init();
    must(hal_cpu.init(0), "cpu");
    must(hal_init_platform(info), "platform");
    cmdline_add_from_host();
    apply_words();
    report_platform();

    hal_irq.init_cpu(0);
    must(time_init(info->entry_counter), "timer");
    log_info("time", "%s at %lu Hz", hal_timer.name, hal_timer.frequency());
    hal_irq_enable();

    hal_init_devices();
    start_consoles(info);
    cmdline_report_unknown(known_words);
    must(memory_seal(), "sealing");
    run_last_steps();
    log_info("shell", "ready");
    shell_main();
}
