/* SPDX-License-Identifier: MIT */
/* The local APIC: the CPU's own interrupt controller and timer.
 * Owns:      its registers.      Context: the CPU it belongs to, interrupts masked.
 * Modes:     registers in memory, or x2APIC MSRs if the firmware has left that mode on (it cannot
 *            be left again without a reset of the APIC).
 * Spec:      Intel SDM vol. 3, 11.4 to 11.12.
 */
#include <port/pc.h>

#include <hal/mmu.h>
#include <port/x86.h>

enum reg {
    REG_ID = 0x20,
    REG_TPR = 0x80,
    REG_EOI = 0xb0,
    REG_SPURIOUS = 0xf0,
    REG_ERROR = 0x280,
    REG_ICR_LOW = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT_TIMER = 0x320,
    REG_LVT_THERMAL = 0x330,
    REG_LVT_PERF = 0x340,
    REG_LVT_LINT0 = 0x350,
    REG_LVT_LINT1 = 0x360,
    REG_LVT_ERROR = 0x370,
    REG_TIMER_INITIAL = 0x380,
    REG_TIMER_CURRENT = 0x390,
    REG_TIMER_DIVIDE = 0x3e0,
};

#define APIC_BASE_X2APIC  (1u << 10)
#define APIC_BASE_ENABLE  (1u << 11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull
#define LVT_MASKED        (1u << 16)
#define LVT_NMI           (4u << 8)
#define SPURIOUS_ENABLE   (1u << 8)
#define ICR_PENDING       (1u << 12)
#define ICR_ASSERT        (1u << 14)
#define DIVIDE_BY_1       0xbu

static struct {
    vaddr_t base;
    bool x2;
} lapic;

static u32 reg_read(enum reg reg)
{
    return lapic.x2 ? (u32)msr_read(MSR_X2APIC + (reg >> 4)) : hal_mmio_read32(lapic.base + reg);
}

static void reg_write(enum reg reg, u32 value)
{
    if (lapic.x2) {
        msr_write(MSR_X2APIC + (reg >> 4), value);
    } else {
        hal_mmio_write32(lapic.base + reg, value);
    }
}

bool lapic_is_present(void)
{
    return cpuid_read(1, 0).d >> 9 & 1;
}

enum hx_status lapic_map(paddr_t base)
{
    u64 msr = msr_read(MSR_APIC_BASE);
    if (!(msr & APIC_BASE_ENABLE)) {
        msr_write(MSR_APIC_BASE, msr | APIC_BASE_ENABLE);
    }
    lapic.x2 = msr & APIC_BASE_X2APIC;
    if (lapic.x2) {
        return HX_OK;
    }
    /* The CPU knows better than the tables. */
    base = msr & APIC_BASE_ADDRESS ? (msr & APIC_BASE_ADDRESS) : base;
    return hal_event_device_map(base, HX_PAGE_SIZE, MAP_DEVICE, &lapic.base);
}

void lapic_init_cpu(void)
{
    reg_write(REG_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    reg_write(REG_TPR, 0);
    reg_write(REG_LVT_TIMER, LVT_MASKED | VECTOR_LAPIC_TIMER);
    reg_write(REG_LVT_THERMAL, LVT_MASKED);
    reg_write(REG_LVT_PERF, LVT_MASKED);
    reg_write(REG_LVT_LINT0, LVT_MASKED);
    reg_write(REG_LVT_LINT1, LVT_NMI);
    reg_write(REG_LVT_ERROR, LVT_MASKED);
    reg_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
    reg_write(REG_EOI, 0); /* whatever the firmware left in service */
}

void lapic_eoi(void)
{
    reg_write(REG_EOI, 0);
}

u32 lapic_id(void)
{
    u32 id = reg_read(REG_ID);
    return lapic.x2 ? id : id >> 24;
}

void lapic_timer_start(u32 count)
{
    reg_write(REG_LVT_TIMER, VECTOR_LAPIC_TIMER | (count ? 0 : LVT_MASKED)); /* one-shot */
    reg_write(REG_TIMER_INITIAL, count);
}

u32 lapic_timer_count(void)
{
    return reg_read(REG_TIMER_CURRENT);
}

void lapic_send_ipi(u32 apic_id, u8 vector)
{
    if (lapic.x2) {
        hal_mb(); /* unlike the memory form, the MSR does not order earlier stores (SDM 11.12.3) */
        msr_write(MSR_X2APIC + (REG_ICR_LOW >> 4), (u64)apic_id << 32 | ICR_ASSERT | vector);
        return;
    }
    u64 state = hal_irq_save();
    while (reg_read(REG_ICR_LOW) & ICR_PENDING) {
        hal_cpu_relax();
    }
    reg_write(REG_ICR_HIGH, apic_id << 24);
    reg_write(REG_ICR_LOW, ICR_ASSERT | vector);
    hal_irq_restore(state);
}
