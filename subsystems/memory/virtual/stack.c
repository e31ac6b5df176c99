/* SPDX-License-Identifier: MIT */
/* Kernel stacks.
 * Owns:      the STACKS region: slots of 32 KiB, the upper half of each a stack, the lower half
 * never mapped. A power of two makes finding the slot of an address a mask. Callers:   task
 * creation and end; fault reports. Context:   thread; kernel_stack_is_guard(): any. Locks:
 * stacks.lock (LOCK_RANK_STACK), interrupts masked: spare list and slot bits. A CPU's own spares
 * are touched by that CPU alone, with interrupts masked. Invariant: (1) a set bit is a slot whose
 * stack is mapped, or is being mapped or unmapped.  (2) a mapped stack is in one place: a CPU's
 * spares, the spare list, or its user's hands. A stack that comes back stays mapped: the next
 * thread gets it without a page table being touched. When more than SPARE_MAX lie idle, all but
 * SPARE_KEEP are unmapped, with one flush on each CPU for the lot: unmapping one by one would
 * interrupt every CPU for every thread that ends.
 */
#include <core/cpu.h>
#include <core/memory.h>
#include <core/spinlock.h>
#include <hal/layout.h>
#include <hal/mmu.h>
#include <hal/smp.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <memory/frame.h>
#include <memory/kernel_space.h>
#include <memory/stack.h>

#define SLOT_SIZE   (2 * KERNEL_STACK_SIZE)
#define STACK_PAGES (KERNEL_STACK_SIZE / HX_PAGE_SIZE)
#define OWN_MAX     7 /* spares of a CPU */
#define SPARE_MAX   64
#define SPARE_KEEP  32
#define WORDS       (KERNEL_STACKS_MAX / 64)

_Static_assert((u64)KERNEL_STACKS_MAX *SLOT_SIZE <= STACKS_SIZE, "the region holds all slots");
_Static_assert(STACKS_BASE % SLOT_SIZE == 0, "a slot is found by a mask");

/* What an idle stack holds at its bottom. */
struct spare {
    struct spare *next;
};

struct own_spares {
    u32 count;               /* c */
    vaddr_t bottom[OWN_MAX]; /* c */
} HX_ALIGNED(64);

/* Marking: l lock; c the CPU with interrupts masked. */
static struct {
    struct spinlock lock;
    struct spare *spares; /* l */
    u32 spare_count;      /* l */
    u32 mapped;           /* l */
    u32 hint;             /* l: no free slot in words below */
    u64 used[WORDS];      /* l: inv 1 */
    struct own_spares own[HAL_CPUS_MAX];
} stacks = {.lock = SPINLOCK_INIT("kernel stacks", LOCK_RANK_STACK)};

static vaddr_t slot_bottom(u32 slot)
{
    return STACKS_BASE + (vaddr_t)slot * SLOT_SIZE + KERNEL_STACK_SIZE;
}

static u32 bottom_slot(vaddr_t bottom)
{
    return (u32)((bottom - STACKS_BASE) / SLOT_SIZE);
}

/* A spare stack of the list, else the number of a slot that is now the caller's; 0 and
 * KERNEL_STACKS_MAX when there is neither. */
static vaddr_t take(u32 *out_slot)
{
    vaddr_t bottom = 0;
    *out_slot = KERNEL_STACKS_MAX;
    u64 state = spin_lock_irq(&stacks.lock);
    if (stacks.spares) {
        bottom = (vaddr_t)stacks.spares;
        stacks.spares = stacks.spares->next;
        stacks.spare_count--;
    } else {
        while (stacks.hint < WORDS && stacks.used[stacks.hint] == ~0ull) {
            stacks.hint++;
        }
        if (stacks.hint < WORDS) {
            u32 bit = (u32)__builtin_ctzll(~stacks.used[stacks.hint]);
            stacks.used[stacks.hint] |= 1ull << bit;
            stacks.mapped++;
            *out_slot = stacks.hint * 64 + bit;
        }
    }
    spin_unlock_irq(&stacks.lock, state);
    return bottom;
}

static void slot_release(u32 slot)
{
    u64 state = spin_lock_irq(&stacks.lock);
    stacks.used[slot / 64] &= ~(1ull << slot % 64);
    stacks.hint = slot / 64 < stacks.hint ? slot / 64 : stacks.hint;
    stacks.mapped--;
    spin_unlock_irq(&stacks.lock, state);
}

/* Stacks on their way out: unmapped, but their frames wait for the flush. */
struct leaving {
    vaddr_t low, high; /* range to be flushed */
    paddr_t tables;    /* emptied page tables */
    u32 frames;        /* linked by next; prev is the slot to release with the frame, or none */
};

#define LEAVING_NONE                                                                               \
    {                                                                                              \
        .low = ~(vaddr_t)0, .frames = FRAME_NO_PFN                                                 \
    }

static void leave(struct leaving *l, vaddr_t bottom, u32 pages, u32 slot)
{
    for (u32 i = 0; i < pages; i++) {
        paddr_t frame;
        HX_ASSERT(kernel_query(bottom + i * HX_PAGE_SIZE, &frame)); /* inv 2 */
        frame_at(frame)->next = l->frames;
        frame_at(frame)->prev = i == 0 ? slot : KERNEL_STACKS_MAX;
        l->frames = frame_number(frame);
    }
    if (pages > 0) {
        enum hx_status status = kernel_unmap_begin(bottom, pages * HX_PAGE_SIZE, &l->tables);
        HX_ASSERT(status == HX_OK); /* 4 KiB pages need no split */
        l->low = bottom < l->low ? bottom : l->low;
        l->high = (vaddr_t)hx_max_u64(l->high, bottom + pages * HX_PAGE_SIZE);
    }
}

static void leave_end(struct leaving *l)
{
    if (l->frames != FRAME_NO_PFN) {
        kernel_unmap_end(l->low, l->high - l->low, &l->tables);
    }
    while (l->frames != FRAME_NO_PFN) {
        u32 pfn = l->frames, slot = frame_table[pfn].prev;
        l->frames = frame_table[pfn].next;
        frame_free(frame_address(pfn));
        if (slot != KERNEL_STACKS_MAX) {
            slot_release(slot);
        }
    }
}

static enum hx_status map(vaddr_t bottom)
{
    for (u32 i = 0; i < STACK_PAGES; i++) {
        paddr_t frame;
        enum hx_status status = frame_alloc(0, FRAME_STACK, &frame);
        if (status == HX_OK) {
            status = kernel_map(bottom + i * HX_PAGE_SIZE, frame, HX_PAGE_SIZE, MAP_WRITE);
            if (status != HX_OK) {
                frame_free(frame);
            }
        }
        if (status != HX_OK) {
            struct leaving l = LEAVING_NONE;
            leave(&l, bottom, i, KERNEL_STACKS_MAX);
            leave_end(&l);
            return status;
        }
    }
    return HX_OK;
}

enum hx_status kernel_stack_alloc(vaddr_t *out_bottom)
{
    u64 state = hal_irq_save();
    struct own_spares *own = &stacks.own[hal_cpu_number()];
    if (hx_likely(own->count > 0)) {
        *out_bottom = own->bottom[--own->count];
        hal_irq_restore(state);
        return HX_OK;
    }
    hal_irq_restore(state);
    u32 slot;
    vaddr_t bottom = take(&slot);
    if (!bottom && slot == KERNEL_STACKS_MAX) {
        return HX_ERR_NO_MEMORY;
    }
    if (!bottom) {
        bottom = slot_bottom(slot);
        enum hx_status status = map(bottom);
        if (status != HX_OK) {
            slot_release(slot);
            return status == HX_ERR_NO_SPACE ? HX_ERR_NO_MEMORY : status;
        }
    }
    *out_bottom = bottom;
    return HX_OK;
}

static void destroy(struct spare *list)
{
    struct leaving l = LEAVING_NONE;
    while (list) {
        struct spare *next = list->next;
        leave(&l, (vaddr_t)list, STACK_PAGES, bottom_slot((vaddr_t)list));
        list = next;
    }
    leave_end(&l);
}

/* Takes all but `keep` stacks off the spare list. */
static struct spare *cut(u32 keep)
{
    u64 state = spin_lock_irq(&stacks.lock);
    struct spare **at = &stacks.spares;
    for (u32 i = 0; i < keep && *at; i++) {
        at = &(*at)->next;
    }
    struct spare *list = *at;
    *at = NULL;
    stacks.spare_count = stacks.spare_count < keep ? stacks.spare_count : keep;
    spin_unlock_irq(&stacks.lock, state);
    return list;
}

static u32 spare_add(vaddr_t bottom)
{
    struct spare *spare = (struct spare *)bottom;
    u64 state = spin_lock_irq(&stacks.lock);
    spare->next = stacks.spares;
    stacks.spares = spare;
    u32 count = ++stacks.spare_count;
    spin_unlock_irq(&stacks.lock, state);
    return count;
}

void kernel_stack_free(vaddr_t bottom)
{
    HX_DEBUG_ASSERT(bottom_slot(bottom) < KERNEL_STACKS_MAX && bottom % SLOT_SIZE != 0);
    u64 state = hal_irq_save();
    struct own_spares *own = &stacks.own[hal_cpu_number()];
    if (hx_likely(own->count < OWN_MAX)) {
        own->bottom[own->count++] = bottom;
        hal_irq_restore(state);
        return;
    }
    hal_irq_restore(state);
    if (spare_add(bottom) > SPARE_MAX) {
        destroy(cut(SPARE_KEEP));
    }
}

bool kernel_stack_is_guard(vaddr_t address, vaddr_t *out_bottom)
{
    if (address < STACKS_BASE || address >= STACKS_BASE + (u64)KERNEL_STACKS_MAX * SLOT_SIZE ||
        address % SLOT_SIZE >= KERNEL_STACK_SIZE) {
        return false;
    }
    *out_bottom = hx_align_down(address, SLOT_SIZE) + KERNEL_STACK_SIZE;
    return true;
}

u32 kernel_stack_count(void)
{
    return __atomic_load_n(&stacks.mapped, __ATOMIC_RELAXED);
}

static void give_up_own(void *arg)
{
    (void)arg;
    u64 state = hal_irq_save();
    struct own_spares *own = &stacks.own[hal_cpu_number()];
    while (own->count > 0) {
        HX_IGNORE((int)spare_add(own->bottom[--own->count]), "the trim that follows takes all");
    }
    hal_irq_restore(state);
}

void kernel_stack_trim(void)
{
    if (cpu_online_count() > 1) {
        cpu_call(cpu_online_mask(), give_up_own, NULL);
    } else {
        give_up_own(NULL);
    }
    destroy(cut(0));
}
