/* SPDX-License-Identifier: MIT */
/* System registers by name, and the fields that more than one file reads (Arm ARM, D19). */
#ifndef PORT_SYSREG_H
#define PORT_SYSREG_H

#include <helix/types.h>

/* `name` may be a macro for a register that older assemblers know by its encoding only. */
#define sysreg_read(name)         sysreg_read_expanded(name)
#define sysreg_write(name, value) sysreg_write_expanded(name, value)

#define sysreg_read_expanded(name)                                                                 \
    ({                                                                                             \
        u64 sysreg_value_;                                                                         \
        __asm__ volatile("mrs %0, " #name : "=r"(sysreg_value_));                                  \
        sysreg_value_;                                                                             \
    })

#define sysreg_write_expanded(name, value)                                                         \
    __asm__ volatile("msr " #name ", %x0" ::"rZ"((u64)(value)))

static inline void sysreg_isb(void)
{
    __asm__ volatile("isb" ::: "memory");
}

/* A four-bit field of an ID register. */
static inline u32 sysreg_field(u64 value, u32 shift)
{
    return (u32)(value >> shift) & 0xf;
}

#define MPIDR_AFFINITY 0xff00ffffffull /* what the device tree and PSCI call a CPU */

#endif
