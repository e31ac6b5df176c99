/* SPDX-License-Identifier: MIT */
/* From a program's file to the memory of a process that has not started. */
#ifndef EXECUTION_LOAD_H
#define EXECUTION_LOAD_H

#include <execution/process.h>
#include <execution/thread.h>

/* Maps segments, stack, arguments and start-up block; fills in `start`.
 * Return: HX_OK; what elf_check() said, with a line in the log; HX_ERR_NO_MEMORY; what reading the
 * file says. The space is then as the caller wants to destroy it. Context: thread. */
enum hx_status process_load(struct process *process, const struct program *program,
                            const struct process_request *request, const struct hx_startup *startup,
                            struct thread_start *start) HX_MUST_CHECK;

#endif
