/* SPDX-License-Identifier: MIT */
/* Memory, as the core and every layer above it ask for it. subsystems/memory implements it.
 * Context unless said otherwise: thread, interrupts enabled, no spinlock held; never blocks.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

/* Kernel heap. Zero-size requests give HX_ERR-free NULL: they are a caller's mistake. The memory is
 * aligned to 16 bytes, to 64 from 64 bytes on. NULL: none left. */
void *kmalloc(size_t size);
void *kzalloc(size_t size); /* zeroed */
void kfree(void *p);        /* NULL is nothing */

/* Object caches: objects of one size, kept near the CPU that freed them. */
struct kmem_cache;
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align);
enum hx_status kmem_cache_destroy(struct kmem_cache *cache) HX_MUST_CHECK; /* BUSY: objects left */
void *kmem_cache_alloc(struct kmem_cache *cache);
void kmem_cache_free(struct kmem_cache *cache, void *object);

/* A kernel stack of KERNEL_STACK_SIZE bytes between guard pages. */
enum hx_status kernel_stack_alloc(vaddr_t *out_bottom) HX_MUST_CHECK;
void kernel_stack_free(vaddr_t bottom);
/* True when `address` lies in a guard page of a kernel stack; names the stack's bottom. Any. */
bool kernel_stack_is_guard(vaddr_t address, vaddr_t *out_bottom);

/* User address spaces, as the scheduler sees them. */
struct cpu;
struct space;
/* Makes `space` (NULL: the kernel alone) current on this CPU. Interrupts masked. */
void space_activate(struct space *space);

/* The same from `from`, which this CPU, `cpu`, has loaded, to another one. */
void space_switch(struct cpu *cpu, struct space *from, struct space *to);

/* Looks at a page fault in user memory, by user mode or by a user copy. True: the access can be
 * repeated. *out_reason says in words why not. Context: thread. */
bool space_fault(struct space *space, vaddr_t address, u32 access, bool present,
                 const char **out_reason);

/* Copies to and from the current task's user memory. Bounds are checked here: any pointer is safe
 * to pass. Return: HX_OK; HX_ERR_FAULT, nothing is promised about the destination. May sleep for
 * memory to be filled in. Context: thread of a process. */
enum hx_status user_copy_in(void *dst, vaddr_t user, size_t n) HX_MUST_CHECK;
enum hx_status user_copy_out(vaddr_t user, const void *src, size_t n) HX_MUST_CHECK;

/* Bring-up, in this order, after memory_init(). */
enum hx_status memory_init_frames(void) HX_MUST_CHECK; /* frame table and allocator */
enum hx_status memory_init_heap(void) HX_MUST_CHECK;   /* kmalloc from here on */
/* Fault injection while the components start, as the words heapfail=N and framefail=N ask: the n-th
 * allocation of that kind after the first call and all others up to the second one fail. */
void memory_failures_begin(void);
void memory_failures_end(void);
/* Boot-time memory that nobody needs any more goes to the allocator. Thread, once. */
void memory_reclaim_boot(void);

#endif
