/* SPDX-License-Identifier: MIT */
/* Message-signalled interrupts to the boot CPU's local APIC: each line is a vector of its own.
 * Owns:      the dynamic vectors.      Callers: subsystems/device through hal_msi; ioapic.c asks.
 * Context:   thread, serialised by the caller; msi_is_allocated any.
 * A line cannot be masked here: there is nothing between the device and the CPU. Who must not be
 * interrupted masks at the device.
 * Spec:      Intel SDM vol. 3, 11.11 (message address and data formats).
 */
#include <port/pc.h>

#include <hal/msi.h>

#define MSI_ADDRESS 0xfee00000u

static struct {
    bool taken[256]; /* by vector */
} msi;

static bool is_dynamic(u32 vector)
{
    return vector >= VECTOR_DYNAMIC_BASE && vector < VECTOR_LAPIC_TIMER && vector != VECTOR_SYSCALL;
}

bool msi_is_allocated(irq_t irq)
{
    return irq < 256 - VECTOR_IRQ_BASE && msi.taken[irq + VECTOR_IRQ_BASE];
}

static enum hx_status msi_alloc(irq_t *out_irq, u64 *out_address, u32 *out_data)
{
    for (u32 vector = VECTOR_DYNAMIC_BASE; vector < VECTOR_LAPIC_TIMER; vector++) {
        if (is_dynamic(vector) && !msi.taken[vector]) {
            msi.taken[vector] = true;
            *out_irq = vector - VECTOR_IRQ_BASE;
            *out_address = MSI_ADDRESS | (hal_smp.hw_id(0) & 0xff) << 12;
            *out_data = vector; /* fixed delivery, edge */
            return HX_OK;
        }
    }
    return HX_ERR_NO_SPACE;
}

static void msi_free(irq_t irq)
{
    msi.taken[(irq + VECTOR_IRQ_BASE) & 0xff] = false;
}

static const struct hal_msi_ops msi_ops = {.name = "APIC", .alloc = msi_alloc, .free = msi_free};

enum hx_status msi_register(void)
{
    return hal_msi_register(&msi_ops);
}
