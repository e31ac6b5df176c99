/* SPDX-License-Identifier: MIT */
/* What the files of the x86_64 port share: nobody else includes it.
 */
#ifndef PORT_PC_H
#define PORT_PC_H

#include <hal/firmware.h>
#include <hal/irq.h>
#include <hal/smp.h>
#include <helix/boot_info.h>
#include <helix/status.h>

/* The map of vectors. irq_t is the vector minus VECTOR_IRQ_BASE. */
#define VECTOR_IRQ_BASE     32   /* 32 - 47: ISA lines 0 - 15 */
#define VECTOR_DYNAMIC_BASE 48   /* 48 - 127, 129 - 239: handed out */
#define VECTOR_SYSCALL      0x80 /* int 0x80 */
#define VECTOR_LAPIC_TIMER  0xf0
#define VECTOR_IPI_BASE     0xf1 /* in the order of enum hal_ipi */
#define VECTOR_SPURIOUS     0xff /* low four bits set, as old APICs force them */
#define ISA_IRQS            16

/* acpi.c */
struct acpi_madt {
    bool present;
    paddr_t lapic_base;
    u32 ioapic_count;
    struct {
        paddr_t base;
        u32 gsi_base;
    } ioapics[8];
    struct {
        u32 gsi;
        bool level, active_low;
    } isa[ISA_IRQS]; /* with the overrides applied */
    u32 cpu_count;
    u32 cpu_apic_ids[HAL_CPUS_MAX];
    u32 cpus_dropped;
};

struct acpi_info {
    bool present;
    struct acpi_madt madt;
    paddr_t hpet_base; /* 0: none */
    u16 pm_timer_port; /* 0: none */
    bool pm_timer_32bit;
    bool has_8042;
    paddr_t ecam_base; /* PCI segment 0; 0: none */
    u8 ecam_bus_first, ecam_bus_last;
};

/* Reads the tables. What is missing or damaged is named in the log and left out. Early, once. */
void acpi_init(paddr_t rsdp);
const struct acpi_info *acpi_get(void);
enum hx_status acpi_poweroff(void);
enum hx_status acpi_reset(void);

/* lapic.c: the local APIC of each CPU. */
bool lapic_is_present(void);
enum hx_status lapic_map(paddr_t base) HX_MUST_CHECK;
void lapic_init_cpu(void);
void lapic_eoi(void);
u32 lapic_id(void);
void lapic_timer_start(u32 count); /* 0 stops it */
u32 lapic_timer_count(void);
void lapic_send_ipi(u32 apic_id, u8 vector);
void lapic_send_init(u32 apic_id);
void lapic_send_startup(u32 apic_id, paddr_t page); /* below 1 MiB */

/* Each registers its table. */
enum hx_status ioapic_register(const struct acpi_madt *madt) HX_MUST_CHECK;
enum hx_status i8259_register(void) HX_MUST_CHECK;
void i8259_mask_all(void);
enum hx_status tsc_timer_register(void) HX_MUST_CHECK; /* TSC and local APIC */
enum hx_status pit_timer_register(void) HX_MUST_CHECK; /* TSC and PIT, beside the 8259 */
bool pit_is_armed(void); /* false: an interrupt of line 0 is a leftover */
enum hx_status uart16550_register(void) HX_MUST_CHECK;
enum hx_status firmware_register(void) HX_MUST_CHECK;
enum hx_status cmos_register(void) HX_MUST_CHECK;

enum hx_status pci_register(void) HX_MUST_CHECK;
enum hx_status msi_register(void) HX_MUST_CHECK; /* with the local APIC only */
bool msi_is_allocated(irq_t irq);
void acpi_devices_read(void); /* fills what hal_device_at() answers */

/* clock.c: the TSC's frequency. */
u64 tsc_frequency(void);
void tsc_calibrate(u32 *out_lapic_hz); /* at most half a millisecond; null: TSC alone */
void tsc_refine(void);

/* fw_cfg.c */
enum hx_status fw_cfg_read(const char *name, void *buf, size_t size, size_t *out_size);

/* ps2.c: keyboard, if there is one. Thread. */
void ps2_init(void);

/* smp.c: what a CPU that starts finds in boot/x86_64/entry.asm. */
struct port_startup {
    u64 cr3;
    vaddr_t stack_top;
    struct hal_cpu_local *local;
    u64 apic_id;
};

/* The CPUs of the list; the first is the one that runs. `page`: boot_info's startup_page. Early. */
enum hx_status smp_register(const struct acpi_madt *madt, paddr_t page) HX_MUST_CHECK;

/* mmu.c: the top-level table of the kernel's space. */
paddr_t mmu_kernel_root(void);

/* cpu.c: descriptor tables of a CPU that is to be started, in thread context on another one, and
 * their activation on that CPU. */
enum hx_status cpu_tables_prepare(cpu_id_t cpu, struct hal_cpu_local *local) HX_MUST_CHECK;
void cpu_tables_load(cpu_id_t cpu);

/* cpu.c: the CPU's largest physical address, exclusive. */
u64 cpu_phys_limit(void);
bool cpu_has_1g_pages(void);

#endif
