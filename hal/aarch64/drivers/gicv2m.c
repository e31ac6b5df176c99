/* SPDX-License-Identifier: MIT */
/* GICv2m: a frame of registers by which devices raise shared lines of a GIC with a memory write.
 * Owns:      the lines that the frame says are its own.    Callers: subsystems/device by hal_msi.
 * Context:   thread, serialised by the caller.
 * Spec:      Arm Server Base System Architecture, appendix E (GICv2m); binding arm,gic-v2m-frame.
 */
#include <hal/msi.h>
#include <helix/log.h>

#include "driver_priv.h"

#define MSI_TYPER     0x008
#define MSI_SETSPI_NS 0x040
#define LINES_MAX     256

static struct {
    paddr_t frame;
    u32 first, count;
    bool taken[LINES_MAX];
} v2m;

static HX_COLD enum hx_status v2m_alloc(irq_t *out_irq, u64 *out_address, u32 *out_data)
{
    for (u32 i = 0; i < v2m.count; i++) {
        if (!v2m.taken[i]) {
            v2m.taken[i] = true;
            *out_irq = *out_data = v2m.first + i;
            *out_address = v2m.frame + MSI_SETSPI_NS;
            return HX_OK;
        }
    }
    return HX_ERR_NO_SPACE;
}

static void v2m_free(irq_t irq)
{
    if (irq >= v2m.first && irq - v2m.first < v2m.count) {
        v2m.taken[irq - v2m.first] = false;
    }
}

static const struct hal_msi_ops v2m_ops = {.name = "GICv2m", .alloc = v2m_alloc, .free = v2m_free};

static HX_COLD enum hx_status v2m_attach(const struct port_device *device, vaddr_t registers)
{
    if (device->reg_count == 0 || device->regs[0].size < 0x1000) {
        return HX_ERR_INVALID;
    }
    u32 typer = hal_mmio_read32(registers + MSI_TYPER);
    u32 first = typer >> 16 & 0x3ff, count = typer & 0x3ff;
    if (first < 32 || count == 0 || first + count > hal_irq.lines) {
        log_warn("gicv2m", "claims lines %u to %u of %u", first, first + count - 1, hal_irq.lines);
        return HX_ERR_INVALID;
    }
    enum hx_status status = hal_msi_register(&v2m_ops);
    if (status == HX_OK) {
        v2m.frame = device->regs[0].base;
        v2m.first = first;
        v2m.count = count < LINES_MAX ? count : LINES_MAX;
    }
    return status;
}

const struct port_driver gicv2m_driver = {
    .name = "GICv2m",
    .compatible = {"arm,gic-v2m-frame"},
    .class = DRIVER_BUS,
    .attach = v2m_attach,
};
