/* SPDX-License-Identifier: MIT */
/* The pair of 8259 interrupt controllers: used on machines without an I/O APIC, else masked.
 * Owns:      ports 0x20, 0x21, 0xa0, 0xa1.      Context: as <hal/irq.h> says; IRQs masked inside.
 * Spec:      Intel 8259A data sheet; lines 7 and 15 may be spurious: their in-service bit tells.
 */
#include <port/pc.h>

#include <hal/irq.h>
#include <port/x86.h>

#define MASTER_COMMAND   0x20
#define MASTER_DATA      0x21
#define SLAVE_COMMAND    0xa0
#define SLAVE_DATA       0xa1
#define COMMAND_INIT     0x11
#define COMMAND_READ_ISR 0x0b
#define COMMAND_EOI      0x20
#define CASCADE          2

static u16 masked = 0xffff;

static void write_masks(void)
{
    io_write8(MASTER_DATA, (u8)masked);
    io_write8(SLAVE_DATA, (u8)(masked >> 8));
}

/* Vectors 32 - 47 in any case: a spurious interrupt of a masked 8259 must not look like an
 * exception. */
static void program(void)
{
    io_write8(MASTER_COMMAND, COMMAND_INIT);
    io_write8(SLAVE_COMMAND, COMMAND_INIT);
    io_write8(MASTER_DATA, VECTOR_IRQ_BASE);
    io_write8(SLAVE_DATA, VECTOR_IRQ_BASE + 8);
    io_write8(MASTER_DATA, 1u << CASCADE);
    io_write8(SLAVE_DATA, CASCADE);
    io_write8(MASTER_DATA, 1); /* 8086 mode */
    io_write8(SLAVE_DATA, 1);
    write_masks();
}

void i8259_mask_all(void)
{
    masked = 0xffff;
    program();
}

static void pic_init_cpu(cpu_id_t cpu)
{
    (void)cpu;
}

static void pic_mask(irq_t irq)
{
    u64 state = hal_irq_save();
    masked |= (u16)(1u << irq);
    write_masks();
    hal_irq_restore(state);
}

static void pic_unmask(irq_t irq)
{
    u64 state = hal_irq_save();
    masked &= (u16) ~(1u << irq);
    masked &= (u16) ~(1u << CASCADE);
    write_masks();
    hal_irq_restore(state);
}

static enum hx_status pic_enable(irq_t irq, enum hal_irq_trigger trigger)
{
    (void)trigger; /* the chipset's ELCR decides */
    if (irq >= ISA_IRQS || irq == CASCADE) {
        return HX_ERR_NOT_FOUND;
    }
    pic_unmask(irq);
    return HX_OK;
}

static bool in_service(u16 command_port, u32 bit)
{
    io_write8(command_port, COMMAND_READ_ISR);
    return io_read8(command_port) >> bit & 1;
}

static irq_t pic_ack(struct hal_trap_frame *frame)
{
    irq_t irq = (irq_t)frame->vector - VECTOR_IRQ_BASE;
    if (irq >= ISA_IRQS) {
        return HX_IRQ_NONE;
    }
    if (irq == 0 && !pit_is_armed()) {
        io_write8(MASTER_COMMAND, COMMAND_EOI);
        return HX_IRQ_NONE;
    }
    if (irq == 7 && !in_service(MASTER_COMMAND, 7)) {
        return HX_IRQ_NONE;
    }
    if (irq == 15 && !in_service(SLAVE_COMMAND, 7)) {
        io_write8(MASTER_COMMAND, COMMAND_EOI); /* the cascade line was real */
        return HX_IRQ_NONE;
    }
    return irq;
}

static void pic_eoi(irq_t irq)
{
    if (irq >= 8) {
        io_write8(SLAVE_COMMAND, COMMAND_EOI);
    }
    io_write8(MASTER_COMMAND, COMMAND_EOI);
}

static const struct hal_irq_ops pic_ops = {
    .name = "8259",
    .lines = ISA_IRQS,
    .init_cpu = pic_init_cpu,
    .enable = pic_enable,
    .mask = pic_mask,
    .unmask = pic_unmask,
    .ack = pic_ack,
    .eoi = pic_eoi,
};

enum hx_status i8259_register(void)
{
    program();
    return hal_irq_register(&pic_ops);
}
