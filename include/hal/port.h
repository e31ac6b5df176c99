/* SPDX-License-Identifier: MIT */
/* The primitives that are too hot or too early for a table. The port's <port/inline.h> defines
 * every function below as `static inline`, so that a missing one fails the build; this header
 * says what each promises. All are legal in every context.
 *
 *   u64  hal_irq_save(void)             masks interrupts on this CPU, returns the state before
 *   void hal_irq_restore(u64 state)     gives back what the matching hal_irq_save returned
 *   void hal_irq_enable(void), hal_irq_disable(void), bool hal_irq_is_enabled(void)
 *   cpu_id_t hal_cpu_number(void)       logical number of this CPU; 0 before others run
 *   struct hal_cpu_local                what the port keeps for each CPU, first member of core's
 *                                       struct cpu; field `number` is the logical number
 *   struct hal_cpu_local *hal_cpu_local(void)       this CPU's; the caller cannot be moved away
 *   void hal_cpu_local_set(struct hal_cpu_local *)  once on each CPU, by core
 *   void *hal_current(void)             the running thread, as hal_current_set(void *) left it on
 *                                       this CPU; one instruction, so right even if preempted
 *   void hal_cpu_relax(void)            inside a spin-wait: PAUSE, YIELD
 *   void hal_cpu_wait(void)             called with interrupts masked: sleeps until one is pending
 *                                       and returns with interrupts masked, after it was taken
 *                                       or with it still pending
 *   void hal_cpu_halt(void)             never returns; interrupts stay masked
 *   void hal_mb(void), hal_rmb(void), hal_wmb(void)   full, read, write barrier between CPUs
 *                                       and devices
 *   void hal_release_increment(u32 *p)  adds 1 to what only the caller may write now, after all its
 *                                       earlier accesses: how a ticket lock is given up
 *   u64  hal_counter_read(void)         monotonic counter of hal_timer.frequency(), read after
 *                                       the instructions before it
 *   u64  hal_cycles_read(void)          CPU cycles, for measuring only; one instruction is one
 *                                       cycle under an emulator's instruction clock
 *   vaddr_t hal_frame_pointer(void)     frame record of the caller: two words, the caller's frame
 *                                       pointer and the return address, on every port
 *   vaddr_t hal_stack_pointer(void)
 *   struct hal_trap_frame               the registers of an interrupted context, as saved
 *   vaddr_t hal_frame_pc(frame), hal_frame_sp(frame), hal_frame_fp(frame)
 *   bool hal_frame_is_user(frame)       it interrupted user mode
 *   bool hal_frame_irqs_enabled(frame)  it had interrupts enabled
 *   void hal_page_zero(void *page), void hal_page_copy(void *dst, const void *src)
 *                                       one page, page-aligned
 *   bool hal_crc32c_is_supported(void)  this CPU has an instruction for the next one; asks the CPU
 *   u32 hal_crc32c(u32 crc, u64 word)   CRC-32C (Castagnoli, reflected) of eight bytes, without
 *                                       inverting; only when supported
 *   u8/16/32/64 hal_mmio_readN(vaddr_t), void hal_mmio_writeN(vaddr_t, value)
 *                                       one access of exactly that size, in program order with
 *                                       other device accesses
 */
#ifndef HAL_PORT_H
#define HAL_PORT_H

#include <helix/compiler.h>
#include <helix/types.h>

#include <port/inline.h>

#endif
