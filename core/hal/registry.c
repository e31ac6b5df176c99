/* SPDX-License-Identifier: MIT */
/* Binding of the HAL's boot-time tables.
 * Owns:      one copy of each registered table, read-only after boot.   Callers: the port.
 * Context:   early, one CPU.
 * Why copies: a call loads one pointer instead of two, and the optional holes can be filled while
 *            the drivers' own tables stay constant.
 * Invariant: (1) no entry of a bound table is ever null: before registration it is a default that
 *            answers HX_ERR_NOT_READY or does nothing; afterwards the driver's or the optional
 *            default.
 */
#include <hal/clock.h>
#include <hal/firmware.h>
#include <hal/irq.h>
#include <hal/msi.h>
#include <hal/pci.h>
#include <hal/serial.h>
#include <hal/smp.h>
#include <hal/timer.h>
#include <helix/compiler.h>
#include <helix/log.h>

/* A driver's table without an entry that it must have. */
static enum hx_status hole(const char *table, const char *driver, const char *entry)
{
    log_error("hal", "%s driver %s lacks %s", table, driver ? driver : "(unnamed)", entry);
    return HX_ERR_INVALID;
}

#define REQUIRE(table, ops, entry)                                                                 \
    do {                                                                                           \
        if (!(ops)->entry) {                                                                       \
            return hole(table, (ops)->name, #entry);                                               \
        }                                                                                          \
    } while (0)

#define FILL(bound, entry, fallback)                                                               \
    do {                                                                                           \
        if (!(bound)->entry) {                                                                     \
            (bound)->entry = (fallback);                                                           \
        }                                                                                          \
    } while (0)

static const char unbound[] = "none";

/* irq */

static void irq_cpu_nothing(cpu_id_t cpu)
{
    (void)cpu;
}

static enum hx_status irq_enable_not_ready(irq_t irq, enum hal_irq_trigger trigger)
{
    (void)irq;
    (void)trigger;
    return HX_ERR_NOT_READY;
}

static void irq_nothing(irq_t irq)
{
    (void)irq;
}

static irq_t irq_ack_none(struct hal_trap_frame *frame)
{
    (void)frame;
    return HX_IRQ_NONE;
}

static enum hx_status irq_set_cpu_boot_only(irq_t irq, cpu_id_t cpu)
{
    (void)irq;
    return cpu == 0 ? HX_OK : HX_ERR_NOT_SUPPORTED;
}

static void irq_send_ipi_nothing(cpu_id_t cpu, enum hal_ipi ipi)
{
    (void)cpu;
    (void)ipi;
}

static irq_t irq_ipi_none(enum hal_ipi ipi)
{
    (void)ipi;
    return HX_IRQ_NONE;
}

HX_RO_AFTER_INIT struct hal_irq_ops hal_irq = {
    .name = unbound,
    .init_cpu = irq_cpu_nothing,
    .enable = irq_enable_not_ready,
    .mask = irq_nothing,
    .unmask = irq_nothing,
    .ack = irq_ack_none,
    .eoi = irq_nothing,
    .set_cpu = irq_set_cpu_boot_only,
    .send_ipi = irq_send_ipi_nothing,
    .ipi_irq = irq_ipi_none,
};

enum hx_status hal_irq_register(const struct hal_irq_ops *ops)
{
    if (hal_irq.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("irq", ops, name);
    REQUIRE("irq", ops, lines);
    REQUIRE("irq", ops, init_cpu);
    REQUIRE("irq", ops, enable);
    REQUIRE("irq", ops, mask);
    REQUIRE("irq", ops, unmask);
    REQUIRE("irq", ops, ack);
    REQUIRE("irq", ops, eoi);
    if (ops->lines > HAL_IRQ_LINES_MAX) {
        return hole("irq", ops->name, "a legal number of lines");
    }
    hal_irq = *ops;
    FILL(&hal_irq, set_cpu, irq_set_cpu_boot_only);
    FILL(&hal_irq, send_ipi, irq_send_ipi_nothing);
    FILL(&hal_irq, ipi_irq, irq_ipi_none);
    return HX_OK;
}

/* timer */

static u64 timer_no_frequency(void)
{
    return 0;
}

static void timer_arm_nothing(u64 deadline)
{
    (void)deadline;
}

static void timer_nothing(void)
{
}

static irq_t timer_no_irq(void)
{
    return HX_IRQ_NONE;
}

HX_RO_AFTER_INIT struct hal_timer_ops hal_timer = {
    .name = unbound,
    .frequency = timer_no_frequency,
    .arm = timer_arm_nothing,
    .disarm = timer_nothing,
    .irq = timer_no_irq,
    .init_cpu = irq_cpu_nothing,
    .refine = timer_nothing,
};

enum hx_status hal_timer_register(const struct hal_timer_ops *ops)
{
    if (hal_timer.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("timer", ops, name);
    REQUIRE("timer", ops, frequency);
    REQUIRE("timer", ops, arm);
    REQUIRE("timer", ops, disarm);
    REQUIRE("timer", ops, irq);
    REQUIRE("timer", ops, init_cpu);
    hal_timer = *ops;
    FILL(&hal_timer, refine, timer_nothing);
    return HX_OK;
}

/* serial */

static void serial_write_nothing(u8 byte)
{
    (void)byte;
}

static bool serial_read_nothing(u8 *out)
{
    (void)out;
    return false;
}

static enum hx_status serial_rx_not_supported(irq_t *out_irq)
{
    (void)out_irq;
    return HX_ERR_NOT_SUPPORTED;
}

HX_RO_AFTER_INIT struct hal_serial_ops hal_serial = {
    .name = unbound,
    .write = serial_write_nothing,
    .read_try = serial_read_nothing,
    .rx_enable = serial_rx_not_supported,
};

enum hx_status hal_serial_register(const struct hal_serial_ops *ops)
{
    if (hal_serial.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("serial", ops, name);
    REQUIRE("serial", ops, write);
    REQUIRE("serial", ops, read_try);
    hal_serial = *ops;
    FILL(&hal_serial, rx_enable, serial_rx_not_supported);
    return HX_OK;
}

/* firmware */

static enum hx_status firmware_not_ready(void)
{
    return HX_ERR_NOT_READY;
}

static enum hx_status firmware_exit_not_supported(u32 status)
{
    (void)status;
    return HX_ERR_NOT_SUPPORTED;
}

static enum hx_status firmware_no_blob(const char *name, void *buf, size_t size, size_t *out_size)
{
    (void)name;
    (void)buf;
    (void)size;
    (void)out_size;
    return HX_ERR_NOT_FOUND;
}

HX_RO_AFTER_INIT struct hal_firmware_ops hal_firmware = {
    .name = unbound,
    .poweroff = firmware_not_ready,
    .reset = firmware_not_ready,
    .exit = firmware_exit_not_supported,
    .blob_read = firmware_no_blob,
};

enum hx_status hal_firmware_register(const struct hal_firmware_ops *ops)
{
    if (hal_firmware.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("firmware", ops, name);
    REQUIRE("firmware", ops, poweroff);
    REQUIRE("firmware", ops, reset);
    hal_firmware = *ops;
    FILL(&hal_firmware, exit, firmware_exit_not_supported);
    FILL(&hal_firmware, blob_read, firmware_no_blob);
    return HX_OK;
}

/* clock */

static enum hx_status clock_not_supported(u64 *out_seconds)
{
    (void)out_seconds;
    return HX_ERR_NOT_SUPPORTED;
}

HX_RO_AFTER_INIT struct hal_clock_ops hal_clock = {
    .name = unbound,
    .read = clock_not_supported,
};

enum hx_status hal_clock_register(const struct hal_clock_ops *ops)
{
    if (hal_clock.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("clock", ops, name);
    REQUIRE("clock", ops, read);
    hal_clock = *ops;
    return HX_OK;
}

/* smp */

static u32 smp_one(void)
{
    return 1;
}

static u64 smp_hw_zero(cpu_id_t cpu)
{
    (void)cpu;
    return 0;
}

static enum hx_status smp_start_not_supported(cpu_id_t cpu, struct hal_cpu_local *local,
                                              vaddr_t stack_top)
{
    (void)cpu;
    (void)local;
    (void)stack_top;
    return HX_ERR_NOT_SUPPORTED;
}

HX_RO_AFTER_INIT struct hal_smp_ops hal_smp = {
    .name = unbound,
    .count = smp_one,
    .hw_id = smp_hw_zero,
    .start = smp_start_not_supported,
};

enum hx_status hal_smp_register(const struct hal_smp_ops *ops)
{
    if (hal_smp.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("smp", ops, name);
    REQUIRE("smp", ops, count);
    REQUIRE("smp", ops, hw_id);
    hal_smp = *ops;
    FILL(&hal_smp, start, smp_start_not_supported);
    return HX_OK;
}

/* pci */

static u32 pci_read_nothing(u32 bdf, u32 offset, u32 width)
{
    (void)bdf;
    (void)offset;
    return UINT32_MAX >> (32 - 8 * width);
}

static void pci_write_nothing(u32 bdf, u32 offset, u32 width, u32 value)
{
    (void)bdf;
    (void)offset;
    (void)width;
    (void)value;
}

static enum hx_status pci_irq_none(u32 bdf, u32 pin, irq_t *out_irq,
                                   enum hal_irq_trigger *out_trigger)
{
    (void)bdf;
    (void)pin;
    (void)out_irq;
    (void)out_trigger;
    return HX_ERR_NOT_FOUND;
}

HX_RO_AFTER_INIT struct hal_pci_ops hal_pci = {
    .name = unbound,
    .bus_first = 1,
    .bus_last = 0,
    .read = pci_read_nothing,
    .write = pci_write_nothing,
    .irq = pci_irq_none,
};

enum hx_status hal_pci_register(const struct hal_pci_ops *ops)
{
    if (hal_pci.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("pci", ops, name);
    REQUIRE("pci", ops, read);
    REQUIRE("pci", ops, write);
    REQUIRE("pci", ops, irq);
    if (ops->bus_first > ops->bus_last || ops->bus_last > 255) {
        return hole("pci", ops->name, "a legal range of buses");
    }
    hal_pci = *ops;
    return HX_OK;
}

/* msi */

static enum hx_status msi_not_supported(irq_t *out_irq, u64 *out_address, u32 *out_data)
{
    (void)out_irq;
    (void)out_address;
    (void)out_data;
    return HX_ERR_NOT_SUPPORTED;
}

HX_RO_AFTER_INIT struct hal_msi_ops hal_msi = {
    .name = unbound,
    .alloc = msi_not_supported,
    .free = irq_nothing,
};

enum hx_status hal_msi_register(const struct hal_msi_ops *ops)
{
    if (hal_msi.name != unbound) {
        return HX_ERR_EXISTS;
    }
    REQUIRE("msi", ops, name);
    REQUIRE("msi", ops, alloc);
    REQUIRE("msi", ops, free);
    hal_msi = *ops;
    return HX_OK;
}
