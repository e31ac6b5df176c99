/* SPDX-License-Identifier: MIT */
/* Room for the registers that fuzz_call() reports, whatever the processor.
 */
#ifndef PROGRAMS_FUZZ_REGS_H
#define PROGRAMS_FUZZ_REGS_H

#define FUZZ_REGISTERS 32

#endif
