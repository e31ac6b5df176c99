/* SPDX-License-Identifier: MIT */
/* GICv2: distributor and memory-mapped CPU interface.
 * Owns:      both register blocks; CPU target masks; the acknowledge value of the interrupt that
 *            each CPU is serving.        Callers: core/irq through hal_irq.        Locks: none.
 * Context:   as <hal/irq.h>. Every register that is shared is written whole or by set/clear bits,
 *            but for ICFGR, which only `enable` (serialised by core/irq) changes.
 * Invariant: no nesting: a CPU has at most one interrupt between ack and eoi, so one saved IAR is
 *            enough; a software interrupt must be ended with the sender's number in it.
 * Spec:      Arm GIC architecture 2.0 (IHI 0048B), chapter 4; binding arm,gic. */
#include <hal/mmu.h>
#include <hal/smp.h>
#include <helix/bits.h>

#include "driver_priv.h"

#define GICD_CTLR          0x000
#define GICD_TYPER         0x004
#define GICD_ISENABLER(n)  (0x100 + 4 * (n))
#define GICD_ICENABLER(n)  (0x180 + 4 * (n))
#define GICD_ICPENDR(n)    (0x280 + 4 * (n))
#define GICD_IPRIORITYR(i) (0x400 + (i)) /* a byte a line */
#define GICD_ITARGETSR(i)  (0x800 + (i)) /* a byte a line */
#define GICD_ICFGR(n)      (0xc00 + 4 * (n))
#define GICD_SGIR          0xf00
#define SGIR_SELF          (2u << 24)
#define GICC_CTLR          0x000
#define GICC_PMR           0x004
#define GICC_IAR           0x00c
#define GICC_EOIR          0x010

#define PRIORITY       0xa0a0a0a0u
#define LINE_SPURIOUS  1020
#define SHARED_FIRST   32 /* below: each CPU's own */
#define SOFTWARE_LINES 16
#define CPUS_MAX       8

static struct {
    vaddr_t dist, cpu;
    u32 lines;
    u8 targets[CPUS_MAX];
    u32 iar[CPUS_MAX];
} gic;

static void dist_write(u32 offset, u32 value)
{
    hal_mmio_write32(gic.dist + offset, value);
}

static void gicv2_mask(irq_t irq)
{
    dist_write(GICD_ICENABLER(irq / 32), 1u << irq % 32);
}

static void gicv2_unmask(irq_t irq)
{
    dist_write(GICD_ISENABLER(irq / 32), 1u << irq % 32);
}

static HX_COLD void gicv2_init_cpu(cpu_id_t cpu)
{
    if (cpu < CPUS_MAX) { /* the interface has no more */
        gic.targets[cpu] = hal_mmio_read8(gic.dist + GICD_ITARGETSR(0));
    }
    dist_write(GICD_ICENABLER(0), 0xffff0000u);
    dist_write(GICD_ISENABLER(0), 0x0000ffffu);
    for (u32 i = 0; i < SHARED_FIRST; i += 4) {
        dist_write(GICD_IPRIORITYR(i), PRIORITY);
    }
    hal_mmio_write32(gic.cpu + GICC_PMR, 0xf0);
    hal_mmio_write32(gic.cpu + GICC_CTLR, 1);
}

static HX_COLD enum hx_status gicv2_enable(irq_t irq, enum hal_irq_trigger trigger)
{
    if (irq >= gic.lines) {
        return HX_ERR_NOT_FOUND;
    }
    if (irq >= SHARED_FIRST && trigger != IRQ_TRIGGER_DEFAULT) {
        u32 bit = 2u << 2 * (irq % 16);
        u32 config = hal_mmio_read32(gic.dist + GICD_ICFGR(irq / 16)) & ~bit;
        gicv2_mask(irq);
        dist_write(GICD_ICFGR(irq / 16), config | (trigger == IRQ_TRIGGER_EDGE ? bit : 0));
    }
    gicv2_unmask(irq);
    return HX_OK;
}

static irq_t gicv2_ack(struct hal_trap_frame *frame)
{
    (void)frame;
    u32 iar = hal_mmio_read32(gic.cpu + GICC_IAR), irq = iar & 0x3ff;
    if (irq >= LINE_SPURIOUS) {
        return HX_IRQ_NONE;
    }
    gic.iar[hal_cpu_number() % CPUS_MAX] = iar;
    return irq;
}

static void gicv2_eoi(irq_t irq)
{
    u32 iar = gic.iar[hal_cpu_number() % CPUS_MAX];
    hal_mmio_write32(gic.cpu + GICC_EOIR, irq < SOFTWARE_LINES ? iar : irq);
}

static enum hx_status gicv2_set_cpu(irq_t irq, cpu_id_t cpu)
{
    if (irq < SHARED_FIRST || irq >= gic.lines || cpu >= CPUS_MAX || gic.targets[cpu] == 0) {
        return HX_ERR_NOT_SUPPORTED;
    }
    hal_mmio_write8(gic.dist + GICD_ITARGETSR(irq), gic.targets[cpu]);
    return HX_OK;
}

static void gicv2_send_ipi(cpu_id_t cpu, enum hal_ipi ipi)
{
    hal_wmb();
    if (cpu == hal_cpu_number()) { /* a GIC of one CPU knows no targets */
        dist_write(GICD_SGIR, SGIR_SELF | ipi);
    } else if (cpu < CPUS_MAX) {
        dist_write(GICD_SGIR, (u32)gic.targets[cpu] << 16 | ipi);
    }
}

static irq_t gicv2_ipi_irq(enum hal_ipi ipi)
{
    return ipi;
}

static const struct hal_irq_ops gicv2_ops = {
    .name = "GICv2",
    .init_cpu = gicv2_init_cpu,
    .enable = gicv2_enable,
    .mask = gicv2_mask,
    .unmask = gicv2_unmask,
    .ack = gicv2_ack,
    .eoi = gicv2_eoi,
    .set_cpu = gicv2_set_cpu,
    .send_ipi = gicv2_send_ipi,
    .ipi_irq = gicv2_ipi_irq,
};

static void dist_init(void)
{
    u32 target = 0x01010101u * hal_mmio_read8(gic.dist + GICD_ITARGETSR(0));
    dist_write(GICD_CTLR, 0);
    for (u32 i = SHARED_FIRST; i < gic.lines; i += 4) {
        if (i % 32 == 0) {
            dist_write(GICD_ICENABLER(i / 32), UINT32_MAX);
            dist_write(GICD_ICPENDR(i / 32), UINT32_MAX);
        }
        dist_write(GICD_IPRIORITYR(i), PRIORITY);
        dist_write(GICD_ITARGETSR(i), target);
    }
    dist_write(GICD_CTLR, 1);
}

static HX_COLD enum hx_status gicv2_attach(const struct port_device *device, vaddr_t registers)
{
    struct hal_irq_ops ops = gicv2_ops;
    if (device->reg_count < 2 || device->regs[0].size < 0x1000 || device->regs[1].size < 0x100) {
        return HX_ERR_INVALID;
    }
    enum hx_status status =
        hal_event_device_map(device->regs[1].base, device->regs[1].size, MAP_DEVICE, &gic.cpu);
    if (status != HX_OK) {
        return status;
    }
    gic.dist = registers;
    gic.lines = 32 * ((hal_mmio_read32(gic.dist + GICD_TYPER) & 0x1f) + 1);
    ops.lines = gic.lines = (u32)hx_min_u64(gic.lines, LINE_SPURIOUS);
    dist_init();
    return hal_irq_register(&ops);
}

bool gic_irq_map(const u32 *cells, u32 count, irq_t *out)
{
    const u32 shared = 0, own = 1;
    if (count < 2 || cells[0] > own || cells[1] >= (cells[0] == shared ? 988 : 16)) {
        return false;
    }
    *out = cells[1] + (cells[0] == shared ? SHARED_FIRST : SOFTWARE_LINES);
    return true;
}

const struct port_driver gicv2_driver = {
    .name = "GICv2",
    .compatible = {"arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a9-gic", "arm,cortex-a7-gic",
                   "arm,gic-v2"},
    .class = DRIVER_IRQ,
    .attach = gicv2_attach,
    .irq_map = gic_irq_map,
};
