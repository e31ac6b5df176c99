/* SPDX-License-Identifier: MIT */
/* Crimes that C has no words for; one file a processor in arch/.
 */
#ifndef PROGRAMS_CRASH_H
#define PROGRAMS_CRASH_H

/* An instruction that only the kernel may execute. */
void crash_privileged(void);
/* Asks the processor where the kernel's tables are. */
void crash_kernel_tables(void);
/* No instruction at all. */
void crash_undefined(void);
/* The debugger's breakpoint, without a debugger. */
void crash_breakpoint(void);
/* Uses a stack pointer that is not aligned as the processor wants it. */
void crash_unaligned_stack(void);
/* Points the stack into the kernel, makes a system call from there, which must neither use nor
 * mind it, and then uses it. */
void crash_kernel_stack(void);

/* A function that can be copied: code_begin() returns 42, and ends where code_end is. */
extern const char code_begin[], code_end[];

#endif
