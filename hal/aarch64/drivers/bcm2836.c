/* SPDX-License-Identifier: MIT */
/* Interrupts of the Raspberry Pi 2 and 3: the per-core controller of the BCM2836/7 and, behind its
 * line 8, the ARMCTRL of the BCM2835.
 * Owns:      both register blocks.     Callers: core/irq through hal_irq.     Locks: none.
 * Context:   as <hal/irq.h>. The timer control registers belong to one CPU each; ARMCTRL has set
 * and clear registers. No register is read, changed and written by two CPUs. There is no
 * acknowledge: sources are levels, and end when the device does. Software interrupts are bits of
 * mailbox 0, cleared when taken. Lines:     0 .. 23 the core's sources, 24 .. 27 software, 32 .. 95
 * GPU 0 .. 63, 96 .. 103 ARM. Spec:      QA7 "ARM Quad A7 core" 3.4; BCM2835 ARM Peripherals 7.5;
 * their device-tree bindings. */
#include <hal/smp.h>
#include <helix/bits.h>

#include "driver_priv.h"

#define LOCAL_CONTROL        0x00
#define LOCAL_PRESCALER      0x08
#define LOCAL_GPU_ROUTING    0x0c
#define LOCAL_TIMERS(cpu)    (0x40 + 4 * (cpu))
#define LOCAL_MAILBOXES(cpu) (0x50 + 4 * (cpu))
#define LOCAL_SOURCE(cpu)    (0x60 + 4 * (cpu))
#define MAILBOX0_SET(cpu)    (0x80 + 16 * (cpu))
#define MAILBOX0_CLEAR(cpu)  (0xc0 + 16 * (cpu))
#define PRESCALER_ONE        0x80000000u /* the counter runs at the crystal's frequency */

#define SOURCE_TIMERS   4 /* lines 0 .. 3 */
#define SOURCE_MAILBOX0 4
#define SOURCE_GPU      8
#define LINE_SOFTWARE   24
#define LINE_GPU        32
#define LINE_ARM        96
#define LINE_COUNT      104
#define CPUS            4
#define BANK_ARM        0
#define BANK_COUNT      3

/* Bank 0 is "basic": eight lines of the ARM, above them summaries of the others. */
static const struct {
    u32 bits;
    u8 first_line, pending, enable, disable; /* the last three are register offsets */
} banks[BANK_COUNT] = {
    {0xff, LINE_ARM, 0x00, 0x18, 0x24},
    {UINT32_MAX, LINE_GPU, 0x04, 0x10, 0x1c},
    {UINT32_MAX, LINE_GPU + 32, 0x08, 0x14, 0x20},
};

static struct {
    vaddr_t local, armctrl; /* armctrl 0: there is none */
} bcm;

static u32 line_bank(irq_t irq)
{
    return irq >= LINE_ARM ? BANK_ARM : irq < LINE_GPU + 32 ? 1 : 2;
}

static void line_set(irq_t irq, bool on)
{
    if (irq >= LINE_GPU) {
        u32 bank = line_bank(irq);
        vaddr_t reg = bcm.armctrl + (on ? banks[bank].enable : banks[bank].disable);
        hal_mmio_write32(reg, 1u << (irq - banks[bank].first_line));
    } else if (irq < SOURCE_TIMERS) {
        vaddr_t reg = bcm.local + LOCAL_TIMERS(hal_cpu_number() % CPUS);
        u32 value = hal_mmio_read32(reg);
        hal_mmio_write32(reg, on ? value | 1u << irq : value & ~(1u << irq));
    }
}

static void bcm2836_mask(irq_t irq)
{
    line_set(irq, false);
}

static void bcm2836_unmask(irq_t irq)
{
    line_set(irq, true);
}

static void bcm2836_init_cpu(cpu_id_t cpu)
{
    hal_mmio_write32(bcm.local + LOCAL_TIMERS(cpu % CPUS), 0);
    hal_mmio_write32(bcm.local + LOCAL_MAILBOXES(cpu % CPUS), 1);
}

/* All lines are levels; a wish for edges cannot be granted and does not matter to a handler. */
static enum hx_status bcm2836_enable(irq_t irq, enum hal_irq_trigger trigger)
{
    (void)trigger;
    bool software = irq >= LINE_SOFTWARE && irq < LINE_SOFTWARE + IPI_COUNT;
    bool behind = irq >= LINE_GPU && irq < LINE_COUNT && bcm.armctrl != 0;
    if (irq >= SOURCE_TIMERS && !software && !behind) {
        return HX_ERR_NOT_FOUND;
    }
    line_set(irq, true);
    return HX_OK;
}

static irq_t armctrl_pending(void)
{
    for (u32 bank = 0; bcm.armctrl != 0 && bank < BANK_COUNT; bank++) {
        u32 pending = hal_mmio_read32(bcm.armctrl + banks[bank].pending) & banks[bank].bits;
        if (pending != 0) {
            return banks[bank].first_line + (u32)__builtin_ctz(pending);
        }
    }
    return HX_IRQ_NONE;
}

static irq_t mailbox_take(u32 cpu)
{
    u32 bits = hal_mmio_read32(bcm.local + MAILBOX0_CLEAR(cpu));
    if (bits == 0) {
        return HX_IRQ_NONE;
    }
    u32 bit = (u32)__builtin_ctz(bits);
    hal_mmio_write32(bcm.local + MAILBOX0_CLEAR(cpu), 1u << bit);
    hal_mb();
    return bit < IPI_COUNT ? LINE_SOFTWARE + bit : HX_IRQ_NONE;
}

static irq_t bcm2836_ack(struct hal_trap_frame *frame)
{
    (void)frame;
    u32 cpu = hal_cpu_number() % CPUS;
    u32 source = hal_mmio_read32(bcm.local + LOCAL_SOURCE(cpu));
    if ((source & 1u << SOURCE_MAILBOX0) != 0) {
        return mailbox_take(cpu);
    }
    if ((source & ~(1u << SOURCE_GPU)) != 0) {
        return (u32)__builtin_ctz(source & ~(1u << SOURCE_GPU));
    }
    return source != 0 ? armctrl_pending() : HX_IRQ_NONE;
}

static void bcm2836_eoi(irq_t irq)
{
    (void)irq;
}

static void bcm2836_send_ipi(cpu_id_t cpu, enum hal_ipi ipi)
{
    hal_wmb();
    hal_mmio_write32(bcm.local + MAILBOX0_SET(cpu % CPUS), 1u << ipi);
}

static irq_t bcm2836_ipi_irq(enum hal_ipi ipi)
{
    return LINE_SOFTWARE + ipi;
}

static const struct hal_irq_ops bcm2836_ops = {
    .name = "BCM2836",
    .lines = LINE_COUNT,
    .init_cpu = bcm2836_init_cpu,
    .enable = bcm2836_enable,
    .mask = bcm2836_mask,
    .unmask = bcm2836_unmask,
    .ack = bcm2836_ack,
    .eoi = bcm2836_eoi,
    .send_ipi = bcm2836_send_ipi,
    .ipi_irq = bcm2836_ipi_irq,
};

static enum hx_status bcm2836_attach(const struct port_device *device, vaddr_t registers)
{
    if (device->reg_count < 1 || device->regs[0].size < 0x100) {
        return HX_ERR_INVALID;
    }
    bcm.local = registers;
    hal_mmio_write32(bcm.local + LOCAL_CONTROL, 0);
    hal_mmio_write32(bcm.local + LOCAL_PRESCALER, PRESCALER_ONE);
    hal_mmio_write32(bcm.local + LOCAL_GPU_ROUTING, 0); /* to core 0, as IRQ */
    return hal_irq_register(&bcm2836_ops);
}

static bool bcm2836_irq_map(const u32 *cells, u32 count, irq_t *out)
{
    if (count < 1 || cells[0] >= SOURCE_TIMERS) {
        return false;
    }
    *out = cells[0];
    return true;
}

static enum hx_status armctrl_attach(const struct port_device *device, vaddr_t registers)
{
    if (device->reg_count < 1 || device->regs[0].size < 0x28) {
        return HX_ERR_INVALID;
    }
    bcm.armctrl = registers;
    for (u32 bank = 0; bank < BANK_COUNT; bank++) {
        hal_mmio_write32(registers + banks[bank].disable, banks[bank].bits);
    }
    return HX_OK;
}

static bool armctrl_irq_map(const u32 *cells, u32 count, irq_t *out)
{
    if (count < 2 || cells[0] >= BANK_COUNT || cells[1] >= (cells[0] == BANK_ARM ? 8 : 32)) {
        return false;
    }
    *out = banks[cells[0]].first_line + cells[1];
    return true;
}

const struct port_driver bcm2836_driver = {
    .name = "BCM2836 interrupts",
    .compatible = {"brcm,bcm2836-l1-intc"},
    .class = DRIVER_IRQ,
    .attach = bcm2836_attach,
    .irq_map = bcm2836_irq_map,
};

const struct port_driver armctrl_driver = {
    .name = "BCM2835 interrupts",
    .compatible = {"brcm,bcm2836-armctrl-ic"},
    .class = DRIVER_IRQ,
    .attach = armctrl_attach,
    .irq_map = armctrl_irq_map,
};
