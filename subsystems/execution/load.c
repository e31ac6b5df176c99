/* SPDX-License-Identifier: MIT */
/* The process loader.
 * Owns:      nothing; what it makes is the process's.       Caller: process_start().
 * Context:   thread.
 * Invariant: (1) nothing of the file is trusted but what elf_check_head() has passed.
 *            (2) a file that lies in memory for ever is mapped from there, page by page as it is
 *            touched. Any other is copied now: what happens to the file later is not the process's
 *            concern.
 */
#include <core/memory.h>
#include <hal/cpu.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>
#include <memory/object.h>
#include <memory/space.h>
#include <userspace/elf.h>
#include "load.h"

/* Of the first thread; below it a guard. It lies where chosen addresses begin: what the program
 * maps then shares page tables with it. */
#define STACK_TOP (SPACE_CHOOSE_FIRST + HX_PAGE_SIZE + HX_STACK_SIZE)
_Static_assert(STACK_TOP == HX_STARTUP_ADDRESS, "programs look for it there");

/* A segment's own copy of its part of the file. */
static enum hx_status copy_segment(const struct program *program, const struct elf_segment *s,
                                   struct memory_object **out_object)
{
    struct memory_object *object;
    enum hx_status status = memory_object_create(s->size, &object);
    if (status != HX_OK) {
        return status;
    }
    u8 *page = kmalloc(HX_PAGE_SIZE);
    status = page ? HX_OK : HX_ERR_NO_MEMORY;
    for (u64 at = 0; status == HX_OK && at < s->file_size; at += HX_PAGE_SIZE) {
        size_t n = (size_t)hx_min_u64(HX_PAGE_SIZE, s->file_size - at);
        status = program_read(program, s->file_offset + at, page, n);
        if (status == HX_OK) {
            status = memory_object_write(object, at, page, n);
        }
    }
    kfree(page);
    if (status != HX_OK) {
        memory_object_put(object);
        return status;
    }
    *out_object = object;
    return HX_OK;
}

static enum hx_status load_segment(struct space *space, const struct program *program,
                                   const struct elf_segment *s)
{
    struct space_request request = {
        .address = s->base,
        .size = s->size,
        .flags = (s->write ? SPACE_WRITE : 0) | (s->execute ? SPACE_EXEC : 0),
        .backing = SPACE_DATA,
        .data = program->data ? program->data + s->file_offset : NULL,
        .data_size = s->file_size,
    };
    vaddr_t at;
    enum hx_status status = HX_OK;
    if (s->file_size == 0) {
        request.backing = SPACE_ANONYMOUS;
    } else if (!program->data) { /* inv 2 */
        request.backing = SPACE_OBJECT;
        status = copy_segment(program, s, &request.object);
    }
    if (status == HX_OK) {
        status = space_map(space, &request, &at);
    }
    if (request.object) {
        memory_object_put(request.object); /* the mapping has its own reference */
    }
    return status;
}

/* The start-up block, the arguments and the environment, as <abi/file.h> lays them out; they live
 * as long as the process, since its pages are made of them. */
static enum hx_status make_arguments(struct process *process, const struct process_request *request,
                                     const struct hx_startup *startup, size_t *out_size)
{
    size_t environment_at = sizeof(*startup) + request->args_size;
    size_t size = environment_at + request->environment_size;
    char *block = kmalloc(size);
    if (!block) {
        return HX_ERR_NO_MEMORY;
    }
    memcpy(block, startup, sizeof(*startup));
    memcpy(block + sizeof(*startup), request->args, request->args_size);
    memcpy(block + environment_at, request->environment, request->environment_size);
    process->args = block;
    *out_size = size;
    return HX_OK;
}

/* The first thread's stack below its guard, and above it the arguments. */
static enum hx_status make_stack(struct process *process, const struct process_request *request,
                                 const struct hx_startup *startup, struct thread_start *start)
{
    vaddr_t at, bottom = STACK_TOP - HX_STACK_SIZE;
    size_t size;
    enum hx_status status = make_arguments(process, request, startup, &size);
    if (status != HX_OK) {
        return status;
    }
    const struct space_request requests[] = {
        {.address = bottom - HX_PAGE_SIZE, .size = HX_PAGE_SIZE, .backing = SPACE_GUARD},
        {.address = bottom, .size = HX_STACK_SIZE, .flags = SPACE_WRITE},
        {.address = STACK_TOP,
         .size = size,
         .flags = SPACE_WRITE,
         .backing = SPACE_DATA,
         .data = process->args,
         .data_size = size},
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(requests); i++) {
        status = space_map(process->space, &requests[i], &at);
        if (status != HX_OK) {
            return status;
        }
    }
    start->stack = STACK_TOP;
    start->arg0 = STACK_TOP + sizeof(*startup);
    start->arg1 = request->args_size;
    return HX_OK;
}

enum hx_status process_load(struct process *process, const struct program *program,
                            const struct process_request *request, const struct hx_startup *startup,
                            struct thread_start *start)
{
    struct elf_plan *plan = kmalloc(sizeof(*plan)); /* too large for the stack */
    size_t head_size = (size_t)hx_min_u64(program->size, HX_PAGE_SIZE);
    u8 *copy = program->data ? NULL : kmalloc(HX_PAGE_SIZE);
    enum hx_status status = plan && (program->data || copy) ? HX_OK : HX_ERR_NO_MEMORY;
    if (status == HX_OK && !program->data) {
        status = program_read(program, 0, copy, head_size);
    }
    if (status == HX_OK) {
        const char *reason = NULL;
        status =
            program->data
                ? elf_check(program->data, program->size, hal_elf_machine, plan, &reason)
                : elf_check_head(copy, head_size, program->size, hal_elf_machine, plan, &reason);
        if (status != HX_OK) {
            log_warn("process", "%s: %s", process->name, reason);
        }
    }
    for (u32 i = 0; status == HX_OK && i < plan->count; i++) {
        status = load_segment(process->space, program, &plan->segments[i]);
    }
    if (status == HX_OK) {
        status = make_stack(process, request, startup, start);
        start->entry = plan->entry;
    }
    kfree(copy);
    kfree(plan);
    return status;
}
