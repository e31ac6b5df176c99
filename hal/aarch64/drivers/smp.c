/* SPDX-License-Identifier: MIT */
/* The CPUs that the device tree describes, and how each is started.
 * Owns:      the list; port_startup, what the CPU being started is told.
 * Callers:   platform.c while it reads the tree; core through hal_smp.
 * Context:   early; afterwards read-only, any. start: thread, one CPU at a time.     Locks: none.
 * Invariant: entry 0 is the boot CPU; no two entries have the same affinity; every other entry has
 *            a way to be started.
 * Spec:      Devicetree Specification 0.4, 3.8; Linux binding arm/cpus. */
#include <hal/cpu.h>
#include <hal/events.h>
#include <hal/mmu.h>
#include <hal/smp.h>
#include <port/frame.h>
#include <port/platform.h>

#include "driver_priv.h"

enum start_method { START_NONE, START_PSCI, START_SPIN_TABLE };

static struct {
    u32 count;
    struct {
        u64 hw_id;
        enum start_method method;
        paddr_t release; /* spin table: where the CPU looks for its entry point */
    } cpus[HAL_CPUS_MAX];
} smp;

static u32 smp_count(void)
{
    return smp.count;
}

static u64 smp_hw_id(cpu_id_t cpu)
{
    return smp.cpus[cpu].hw_id;
}

_Static_assert(offsetof(struct port_startup, root) == STARTUP_ROOT, "startup layout");
_Static_assert(offsetof(struct port_startup, hw_id) == STARTUP_HW_ID, "startup layout");
_Static_assert(offsetof(struct port_startup, stack_top) == STARTUP_STACK, "startup layout");
_Static_assert(offsetof(struct port_startup, local) == STARTUP_LOCAL, "startup layout");

/* A cache line of its own: cleaning it touches nobody else's. */
struct port_startup port_startup HX_ALIGNED(64);

/* The address is the firmware's, in memory that is nobody's; the CPU polls it with its cache off.
 */
static enum hx_status spin_table_release(paddr_t release, paddr_t entry)
{
    vaddr_t at;
    enum hx_status status = hal_event_device_map(release, sizeof(u64), MAP_DEVICE, &at);
    if (status == HX_OK) {
        hal_mmio_write64(at, entry);
        hal_mb();
        __asm__ volatile("sev" ::: "memory");
    }
    return status;
}

static enum hx_status smp_start(cpu_id_t cpu, struct hal_cpu_local *local, vaddr_t stack_top)
{
    vaddr_t emergency = local->emergency;
    enum hx_status status = emergency != 0 ? HX_OK : hal_event_stack_alloc(&emergency);
    if (status != HX_OK) {
        return status;
    }
    *local = (struct hal_cpu_local){.number = cpu, .emergency = emergency};
    port_startup = (struct port_startup){.root = port_mmu_root(),
                                         .hw_id = smp.cpus[cpu].hw_id,
                                         .stack_top = stack_top,
                                         .local = local};
    __asm__ volatile("dc cvac, %0\n\tdsb sy" ::"r"(&port_startup) : "memory");
    paddr_t entry = port_image_phys(port_startup_entry);
    return smp.cpus[cpu].method == START_PSCI ? psci_cpu_on(smp.cpus[cpu].hw_id, entry)
                                              : spin_table_release(smp.cpus[cpu].release, entry);
}

void port_secondary_main(void)
{
    cpu_id_t cpu = hal_cpu_number();
    hal_cpu.init_early();
    hal_mmu.activate(&hal_kernel_space); /* nothing in TTBR0 any more; init flushes */
    if (hal_cpu.init(cpu) != HX_OK) {
        hal_cpu_halt();
    }
    hal_irq.init_cpu(cpu);
    hal_event_cpu_started(cpu);
}

static const struct hal_smp_ops psci_ops = {
    .name = "PSCI", .count = smp_count, .hw_id = smp_hw_id, .start = smp_start};
static const struct hal_smp_ops spin_table_ops = {
    .name = "spin table", .count = smp_count, .hw_id = smp_hw_id, .start = smp_start};
static const struct hal_smp_ops single_ops = {
    .name = "boot CPU only", .count = smp_count, .hw_id = smp_hw_id};

void smp_begin(u64 boot_cpu)
{
    smp.count = 1;
    smp.cpus[0].hw_id = boot_cpu;
}

void smp_node_read(const struct dt_walk *walk)
{
    const struct dt_node *node = dt_node(walk);
    struct dt_prop method, release;
    dt_prop_find(walk, "enable-method", &method);
    dt_prop_find(walk, "cpu-release-addr", &release);
    enum start_method start = START_NONE;
    u64 hw_id, address = 0;
    /* A disabled CPU is one that waits to be started; only a failed one is not usable. */
    if (node->failed || !dt_prop_u64(&node->reg, &hw_id) || (hw_id & ~MPIDR_AFFINITY) != 0) {
        return;
    }
    if (dt_prop_has(&method, "psci")) {
        start = START_PSCI;
    } else if (dt_prop_has(&method, "spin-table") && dt_prop_u64(&release, &address)) {
        start = START_SPIN_TABLE;
    }
    u32 at = 0;
    while (at < smp.count && smp.cpus[at].hw_id != hw_id) {
        at++;
    }
    if (at == HAL_CPUS_MAX || (at > 0 && (at < smp.count || start == START_NONE))) {
        return;
    }
    smp.cpus[at].hw_id = hw_id;
    smp.cpus[at].method = start;
    smp.cpus[at].release = address;
    smp.count += at == smp.count;
}

enum hx_status smp_register(void)
{
    enum start_method method = smp.cpus[smp.count - 1].method;
    return hal_smp_register(method == START_PSCI         ? &psci_ops
                            : method == START_SPIN_TABLE ? &spin_table_ops
                                                         : &single_ops);
}
