/* SPDX-License-Identifier: MIT */
/* I/O APICs: ISA lines at vectors 32 - 47 wherever the firmware wired them, and the CPUs' local
 * lines as numbers of the same space.
 * Owns:      the redirection tables.     Context: as <hal/irq.h> says.
 * Locks:     register access is by index and data, so with interrupts masked; other CPUs are kept
 *            out by the router's lock.
 * Invariant: (1) irq_t is the vector minus 32, so ack needs no table.
 * Spec:      Intel 82093AA data sheet, section 3; ACPI 6.4, 5.2.12.5 (interrupt source override).
 */
#include <port/pc.h>

#include <hal/irq.h>
#include <hal/mmu.h>
#include <helix/log.h>

#define REG_VERSION         1
#define REG_REDIRECT        0x10
#define REDIRECT_ACTIVE_LOW (1u << 13)
#define REDIRECT_LEVEL      (1u << 15)
#define REDIRECT_MASKED     (1u << 16)
#define PINS_MAX            240

static struct {
    u32 count;
    struct {
        vaddr_t base;
        u32 gsi_base, pins;
    } chips[8];
    const struct acpi_madt *madt;
    u32 boot_apic_id;
} ioapic;

static u32 reg_read(u32 chip, u32 reg)
{
    hal_mmio_write32(ioapic.chips[chip].base, reg);
    return hal_mmio_read32(ioapic.chips[chip].base + 0x10);
}

static void reg_write(u32 chip, u32 reg, u32 value)
{
    hal_mmio_write32(ioapic.chips[chip].base, reg);
    hal_mmio_write32(ioapic.chips[chip].base + 0x10, value);
}

/* The chip and pin of a global line. */
static bool find_pin(u32 gsi, u32 *out_chip, u32 *out_pin)
{
    for (u32 i = 0; i < ioapic.count; i++) {
        if (gsi >= ioapic.chips[i].gsi_base &&
            gsi - ioapic.chips[i].gsi_base < ioapic.chips[i].pins) {
            *out_chip = i;
            *out_pin = gsi - ioapic.chips[i].gsi_base;
            return true;
        }
    }
    return false;
}

static void set_masked(irq_t irq, bool masked)
{
    u32 chip, pin;
    if (irq >= ISA_IRQS || !find_pin(ioapic.madt->isa[irq].gsi, &chip, &pin)) {
        return; /* local lines are masked at their source */
    }
    u64 state = hal_irq_save();
    u32 low = reg_read(chip, REG_REDIRECT + 2 * pin);
    reg_write(chip, REG_REDIRECT + 2 * pin,
              masked ? low | REDIRECT_MASKED : low & ~REDIRECT_MASKED);
    hal_irq_restore(state);
}

static void ioapic_mask(irq_t irq)
{
    set_masked(irq, true);
}

static void ioapic_unmask(irq_t irq)
{
    set_masked(irq, false);
}

static enum hx_status ioapic_enable(irq_t irq, enum hal_irq_trigger trigger)
{
    if (irq + VECTOR_IRQ_BASE == VECTOR_LAPIC_TIMER || msi_is_allocated(irq) ||
        (irq + VECTOR_IRQ_BASE >= VECTOR_IPI_BASE &&
         irq + VECTOR_IRQ_BASE < VECTOR_IPI_BASE + IPI_COUNT)) {
        return HX_OK;
    }
    u32 chip, pin;
    if (irq >= ISA_IRQS || !find_pin(ioapic.madt->isa[irq].gsi, &chip, &pin)) {
        return HX_ERR_NOT_FOUND;
    }
    bool level = trigger == IRQ_TRIGGER_LEVEL ||
                 (trigger == IRQ_TRIGGER_DEFAULT && ioapic.madt->isa[irq].level);
    u32 low = (irq + VECTOR_IRQ_BASE) | (level ? REDIRECT_LEVEL : 0) |
              (ioapic.madt->isa[irq].active_low ? REDIRECT_ACTIVE_LOW : 0);
    u64 state = hal_irq_save();
    reg_write(chip, REG_REDIRECT + 2 * pin, low | REDIRECT_MASKED);
    reg_write(chip, REG_REDIRECT + 2 * pin + 1, ioapic.boot_apic_id << 24);
    reg_write(chip, REG_REDIRECT + 2 * pin, low);
    hal_irq_restore(state);
    return HX_OK;
}

static irq_t ioapic_ack(struct hal_trap_frame *frame)
{
    return frame->vector == VECTOR_SPURIOUS ? HX_IRQ_NONE : (irq_t)frame->vector - VECTOR_IRQ_BASE;
}

static void ioapic_eoi(irq_t irq)
{
    (void)irq;
    lapic_eoi();
}

static void ioapic_init_cpu(cpu_id_t cpu)
{
    (void)cpu;
    lapic_init_cpu();
}

static void ioapic_send_ipi(cpu_id_t cpu, enum hal_ipi ipi)
{
    lapic_send_ipi((u32)hal_smp.hw_id(cpu), (u8)(VECTOR_IPI_BASE + ipi));
}

static irq_t ioapic_ipi_irq(enum hal_ipi ipi)
{
    return VECTOR_IPI_BASE + ipi - VECTOR_IRQ_BASE;
}

static const struct hal_irq_ops ioapic_ops = {
    .name = "IOAPIC",
    .lines = 256 - VECTOR_IRQ_BASE,
    .init_cpu = ioapic_init_cpu,
    .enable = ioapic_enable,
    .mask = ioapic_mask,
    .unmask = ioapic_unmask,
    .ack = ioapic_ack,
    .eoi = ioapic_eoi,
    .send_ipi = ioapic_send_ipi,
    .ipi_irq = ioapic_ipi_irq,
};

enum hx_status ioapic_register(const struct acpi_madt *madt)
{
    ioapic.madt = madt;
    for (u32 i = 0; i < madt->ioapic_count; i++) {
        vaddr_t base;
        enum hx_status status =
            hal_event_device_map(madt->ioapics[i].base, 0x20, MAP_DEVICE, &base);
        if (status != HX_OK) {
            log_warn("irq", "I/O APIC at 0x%lx not usable: %s", madt->ioapics[i].base,
                     hx_status_words(status));
            continue;
        }
        u32 chip = ioapic.count++;
        ioapic.chips[chip].base = base;
        ioapic.chips[chip].gsi_base = madt->ioapics[i].gsi_base;
        u32 pins = (reg_read(chip, REG_VERSION) >> 16 & 0xff) + 1;
        ioapic.chips[chip].pins = pins < PINS_MAX ? pins : PINS_MAX;
        for (u32 pin = 0; pin < ioapic.chips[chip].pins; pin++) {
            reg_write(chip, REG_REDIRECT + 2 * pin, REDIRECT_MASKED);
        }
    }
    if (ioapic.count == 0) {
        return HX_ERR_NOT_FOUND;
    }
    ioapic.boot_apic_id = lapic_id();
    return hal_irq_register(&ioapic_ops);
}
