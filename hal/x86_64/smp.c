/* SPDX-License-Identifier: MIT */
/* The other CPUs of a PC: the firmware's list, and their start by INIT and startup interrupts.
 * Owns:      the list; port_startup, what the CPU being started is told.
 * Callers:   platform.c; core through hal_smp.     Context: start: thread, one CPU at a time.
 * A CPU begins in real mode at a page of low memory. What stands there is a copy of startup_code of
 * boot/x86_64/entry.asm, which goes on through the boot CPU's own first page tables: they and their
 * code are kept for this (BOOT_REGION_NVS).
 * Spec:      Intel SDM vol. 3, 9.4 (multiple-processor initialisation).
 */
#include <hal/cpu.h>
#include <hal/events.h>
#include <hal/irq.h>
#include <hal/mmu.h>
#include <helix/string.h>
#include <port/pc.h>

#define INIT_DELAY_NS    (10 * HX_NS_PER_MS)
#define STARTUP_DELAY_NS (200 * HX_NS_PER_US)

extern const char startup_code[], startup_code_end[]; /* entry.asm; physical addresses */

static struct {
    u32 count;
    u32 apic_ids[HAL_CPUS_MAX];
    paddr_t page; /* 0: the others cannot be started */
} smp HX_RO_AFTER_INIT;

struct port_startup port_startup;

void port_secondary_main(void) HX_NORETURN;

static u32 smp_count(void)
{
    return smp.count;
}

static u64 smp_hw_id(cpu_id_t cpu)
{
    return smp.apic_ids[cpu];
}

static void delay(u64 ns)
{
    u64 start = hal_counter_read(), ticks = ns * (tsc_frequency() / HX_NS_PER_MS) / 1000;
    while (hal_counter_read() - start < ticks) {
        hal_cpu_relax();
    }
}

/* The manual's sequence, second startup interrupt included: a CPU that runs already ignores it. */
static enum hx_status smp_start(cpu_id_t cpu, struct hal_cpu_local *local, vaddr_t stack_top)
{
    if (!smp.page) {
        return HX_ERR_NOT_SUPPORTED;
    }
    enum hx_status status = cpu_tables_prepare(cpu, local);
    if (status != HX_OK) {
        return status;
    }
    port_startup = (struct port_startup){.cr3 = mmu_kernel_root(),
                                         .stack_top = stack_top,
                                         .local = local,
                                         .apic_id = smp.apic_ids[cpu]};
    hal_mb();
    lapic_send_init(smp.apic_ids[cpu]);
    delay(INIT_DELAY_NS);
    lapic_send_startup(smp.apic_ids[cpu], smp.page);
    delay(STARTUP_DELAY_NS);
    lapic_send_startup(smp.apic_ids[cpu], smp.page);
    return HX_OK;
}

/* From entry.asm, on the stack and with the block that smp_start() was given. */
void port_secondary_main(void)
{
    cpu_id_t cpu = hal_cpu_number();
    cpu_tables_load(cpu);
    if (hal_cpu.init(cpu) != HX_OK) {
        hal_cpu_halt();
    }
    hal_irq.init_cpu(cpu);
    hal_event_cpu_started(cpu);
}

static const struct hal_smp_ops smp_ops = {
    .name = "INIT-SIPI", .count = smp_count, .hw_id = smp_hw_id, .start = smp_start};

enum hx_status smp_register(const struct acpi_madt *madt, paddr_t page)
{
    smp.count = 1;
    smp.apic_ids[0] = lapic_id();
    for (u32 i = 0; i < madt->cpu_count && smp.count < HAL_CPUS_MAX; i++) {
        if (madt->cpu_apic_ids[i] != smp.apic_ids[0]) {
            smp.apic_ids[smp.count++] = madt->cpu_apic_ids[i];
        }
    }
    smp.page = page;
    if (page) {
        memcpy(hal_phys_to_virt(page), hal_phys_to_virt((paddr_t)startup_code),
               (size_t)(startup_code_end - startup_code));
    }
    return hal_smp_register(&smp_ops);
}
