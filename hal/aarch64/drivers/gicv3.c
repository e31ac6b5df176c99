/* SPDX-License-Identifier: MIT */
/* GICv3 and v4: distributor, a redistributor for each CPU, CPU interface in system registers,
 * affinity routing on. Message-signalled interrupts (ITS) are not used here.
 * Owns:      the register blocks; where each CPU's redistributor is.
 * Callers:   core/irq through hal_irq.        Context: as <hal/irq.h>.        Locks: none.
 * All lines are group 1, non-secure: what arrives as IRQ. ICFGR is changed by `enable` alone, which
 * core/irq serialises.
 * Spec:      Arm GIC architecture 3 and 4 (IHI 0069), chapter 12; binding arm,gic-v3. */
#include <hal/mmu.h>
#include <hal/smp.h>
#include <helix/bits.h>
#include <helix/log.h>

#include "driver_priv.h"

#define GICD_CTLR          0x0000
#define GICD_TYPER         0x0004
#define GICD_IGROUPR(n)    (0x0080 + 4 * (n))
#define GICD_ISENABLER(n)  (0x0100 + 4 * (n))
#define GICD_ICENABLER(n)  (0x0180 + 4 * (n))
#define GICD_ICPENDR(n)    (0x0280 + 4 * (n))
#define GICD_IPRIORITYR(i) (0x0400 + (i))
#define GICD_ICFGR(n)      (0x0c00 + 4 * (n))
#define GICD_IROUTER(i)    (0x6000 + 8 * (i))
#define GICD_CTLR_ON       0x13 /* affinity routing, group 1 in either view of the register */
#define GICD_CTLR_ROUTING  0x10
#define GICD_CTLR_RWP      0x80000000u

#define GICR_CTLR        0x0000
#define GICR_TYPER       0x0008
#define GICR_WAKER       0x0014
#define GICR_OWN         0x10000 /* the frame with a CPU's own lines; same offsets as GICD's */
#define GICR_TYPER_VLPIS (1u << 1)
#define GICR_TYPER_LAST  (1u << 4)
#define WAKER_SLEEP      (1u << 1)
#define WAKER_ASLEEP     (1u << 2)
#define FRAMES_V3        0x20000
#define FRAMES_V4        0x40000

/* CPU interface registers by encoding: older assemblers do not know the names. */
#define ICC_PMR     S3_0_C4_C6_0
#define ICC_IAR1    S3_0_C12_C12_0
#define ICC_EOIR1   S3_0_C12_C12_1
#define ICC_BPR1    S3_0_C12_C12_3
#define ICC_CTLR    S3_0_C12_C12_4
#define ICC_SRE     S3_0_C12_C12_5
#define ICC_IGRPEN1 S3_0_C12_C12_7
#define ICC_SGI1R   S3_0_C12_C11_5

#define PRIORITY      0xa0a0a0a0u
#define LINE_SPURIOUS 1020
#define SHARED_FIRST  32

static struct {
    vaddr_t dist;
    u32 lines, region_count;
    struct {
        vaddr_t base;
        u64 size;
    } regions[DEVICE_REGS_MAX - 1];
    vaddr_t own[HAL_CPUS_MAX]; /* the frame with the CPU's own lines; 0: none */
} gic;

/* The block that holds line `irq`: this CPU's frame for its own lines. */
static vaddr_t line_block(irq_t irq)
{
    return irq < SHARED_FIRST ? gic.own[hal_cpu_number()] : gic.dist;
}

static void gicv3_mask(irq_t irq)
{
    vaddr_t block = line_block(irq);
    if (block != 0) {
        hal_mmio_write32(block + GICD_ICENABLER(irq / 32), 1u << irq % 32);
    }
}

static void gicv3_unmask(irq_t irq)
{
    vaddr_t block = line_block(irq);
    if (block != 0) {
        hal_mmio_write32(block + GICD_ISENABLER(irq / 32), 1u << irq % 32);
    }
}

static u64 affinity_route(u64 mpidr)
{
    return mpidr & MPIDR_AFFINITY;
}

/* This CPU's redistributor, 0 when there is none. */
static vaddr_t redistributor_find(void)
{
    u64 mpidr = sysreg_read(mpidr_el1);
    u64 affinity = (mpidr >> 8 & 0xff000000) | (mpidr & 0xffffff);
    for (u32 r = 0; r < gic.region_count; r++) {
        u64 step = 0;
        for (u64 at = 0; hx_range_fits(at, FRAMES_V3, gic.regions[r].size); at += step) {
            u64 typer = hal_mmio_read64(gic.regions[r].base + at + GICR_TYPER);
            if (typer >> 32 == affinity) {
                return gic.regions[r].base + at;
            }
            if ((typer & GICR_TYPER_LAST) != 0) {
                break;
            }
            step = (typer & GICR_TYPER_VLPIS) != 0 ? FRAMES_V4 : FRAMES_V3;
        }
    }
    return 0;
}

static bool redistributor_wake(vaddr_t base)
{
    u32 spins = 0;
    u32 waker = hal_mmio_read32(base + GICR_WAKER);
    hal_mmio_write32(base + GICR_WAKER, waker & ~WAKER_SLEEP);
    while ((hal_mmio_read32(base + GICR_WAKER) & WAKER_ASLEEP) != 0) {
        if (!wait_goes_on(&spins)) {
            return false;
        }
    }
    return true;
}

static HX_COLD void gicv3_init_cpu(cpu_id_t cpu)
{
    vaddr_t base = redistributor_find();
    if (base == 0 || !redistributor_wake(base)) {
        log_error("gicv3", "CPU %u has no redistributor that works: no interrupts there", cpu);
        return;
    }
    vaddr_t own = base + GICR_OWN;
    gic.own[cpu] = own;
    hal_mmio_write32(own + GICD_IGROUPR(0), UINT32_MAX);
    hal_mmio_write32(own + GICD_ICENABLER(0), 0xffff0000u);
    hal_mmio_write32(own + GICD_ISENABLER(0), 0x0000ffffu);
    for (u32 i = 0; i < SHARED_FIRST; i += 4) {
        hal_mmio_write32(own + GICD_IPRIORITYR(i), PRIORITY);
    }
    sysreg_write(ICC_SRE, sysreg_read(ICC_SRE) | 1);
    sysreg_isb();
    sysreg_write(ICC_PMR, 0xf0);
    sysreg_write(ICC_BPR1, 0);
    sysreg_write(ICC_CTLR, 0); /* one write of EOIR1 ends an interrupt */
    sysreg_write(ICC_IGRPEN1, 1);
    sysreg_isb();
}

static HX_COLD enum hx_status gicv3_enable(irq_t irq, enum hal_irq_trigger trigger)
{
    if (irq >= gic.lines || line_block(irq) == 0) {
        return HX_ERR_NOT_FOUND;
    }
    if (irq >= SHARED_FIRST && trigger != IRQ_TRIGGER_DEFAULT) {
        u32 bit = 2u << 2 * (irq % 16);
        u32 config = hal_mmio_read32(gic.dist + GICD_ICFGR(irq / 16)) & ~bit;
        gicv3_mask(irq);
        hal_mmio_write32(gic.dist + GICD_ICFGR(irq / 16),
                         config | (trigger == IRQ_TRIGGER_EDGE ? bit : 0));
    }
    gicv3_unmask(irq);
    return HX_OK;
}

static irq_t gicv3_ack(struct hal_trap_frame *frame)
{
    (void)frame;
    u64 irq = sysreg_read(ICC_IAR1) & 0xffffff;
    __asm__ volatile("dsb sy" ::: "memory"); /* the acknowledge before the device's registers */
    return irq < LINE_SPURIOUS ? (irq_t)irq : HX_IRQ_NONE;
}

static void gicv3_eoi(irq_t irq)
{
    sysreg_write(ICC_EOIR1, irq);
    sysreg_isb();
}

static HX_COLD enum hx_status gicv3_set_cpu(irq_t irq, cpu_id_t cpu)
{
    if (irq < SHARED_FIRST || irq >= gic.lines || cpu >= HAL_CPUS_MAX || gic.own[cpu] == 0) {
        return HX_ERR_NOT_SUPPORTED;
    }
    hal_mmio_write64(gic.dist + GICD_IROUTER(irq), affinity_route(hal_smp.hw_id(cpu)));
    return HX_OK;
}

static void gicv3_send_ipi(cpu_id_t cpu, enum hal_ipi ipi)
{
    u64 id = hal_smp.hw_id(cpu);
    u64 target = 1ull << (id & 0xf), range = id >> 4 & 0xf;
    u64 aff1 = id >> 8 & 0xff, aff2 = id >> 16 & 0xff, aff3 = id >> 32 & 0xff;
    hal_wmb();
    sysreg_write(ICC_SGI1R,
                 aff3 << 48 | range << 44 | aff2 << 32 | (u64)ipi << 24 | aff1 << 16 | target);
    sysreg_isb();
}

static irq_t gicv3_ipi_irq(enum hal_ipi ipi)
{
    return ipi;
}

static const struct hal_irq_ops gicv3_ops = {
    .name = "GICv3",
    .init_cpu = gicv3_init_cpu,
    .enable = gicv3_enable,
    .mask = gicv3_mask,
    .unmask = gicv3_unmask,
    .ack = gicv3_ack,
    .eoi = gicv3_eoi,
    .set_cpu = gicv3_set_cpu,
    .send_ipi = gicv3_send_ipi,
    .ipi_irq = gicv3_ipi_irq,
};

static bool dist_settled(void)
{
    u32 spins = 0;
    while ((hal_mmio_read32(gic.dist + GICD_CTLR) & GICD_CTLR_RWP) != 0) {
        if (!wait_goes_on(&spins)) {
            return false;
        }
    }
    return true;
}

static enum hx_status dist_init(void)
{
    u64 boot_cpu = affinity_route(sysreg_read(mpidr_el1));
    hal_mmio_write32(gic.dist + GICD_CTLR, 0);
    if (!dist_settled()) {
        return HX_ERR_IO;
    }
    hal_mmio_write32(gic.dist + GICD_CTLR, GICD_CTLR_ROUTING);
    for (u32 i = SHARED_FIRST; i < gic.lines; i++) {
        if (i % 32 == 0) {
            hal_mmio_write32(gic.dist + GICD_ICENABLER(i / 32), UINT32_MAX);
            hal_mmio_write32(gic.dist + GICD_ICPENDR(i / 32), UINT32_MAX);
            hal_mmio_write32(gic.dist + GICD_IGROUPR(i / 32), UINT32_MAX);
        }
        if (i % 4 == 0) {
            hal_mmio_write32(gic.dist + GICD_IPRIORITYR(i), PRIORITY);
        }
        hal_mmio_write64(gic.dist + GICD_IROUTER(i), boot_cpu);
    }
    hal_mmio_write32(gic.dist + GICD_CTLR, GICD_CTLR_ON);
    return dist_settled() ? HX_OK : HX_ERR_IO;
}

static HX_COLD enum hx_status gicv3_attach(const struct port_device *device, vaddr_t registers)
{
    struct hal_irq_ops ops = gicv3_ops;
    if (device->reg_count < 2 || device->regs[0].size < 0x10000) {
        return HX_ERR_INVALID;
    }
    if (sysreg_field(sysreg_read(id_aa64pfr0_el1), 24) == 0) {
        return HX_ERR_NOT_SUPPORTED; /* the CPU lacks the interface's registers */
    }
    for (u32 i = 1; i < device->reg_count; i++) {
        u64 size = hx_min_u64(device->regs[i].size, (u64)HAL_CPUS_MAX * FRAMES_V4);
        vaddr_t base;
        enum hx_status status = hal_event_device_map(device->regs[i].base, size, MAP_DEVICE, &base);
        if (status != HX_OK) {
            return status;
        }
        gic.regions[gic.region_count].base = base;
        gic.regions[gic.region_count++].size = size;
    }
    gic.dist = registers;
    gic.lines = 32 * ((hal_mmio_read32(gic.dist + GICD_TYPER) & 0x1f) + 1);
    ops.lines = gic.lines = (u32)hx_min_u64(gic.lines, LINE_SPURIOUS);
    enum hx_status status = dist_init();
    return status != HX_OK ? status : hal_irq_register(&ops);
}

const struct port_driver gicv3_driver = {
    .name = "GICv3",
    .compatible = {"arm,gic-v3"},
    .class = DRIVER_IRQ,
    .attach = gicv3_attach,
    .irq_map = gic_irq_map,
};
