/* SPDX-License-Identifier: MIT */
/* Ledgers.
 * Owns:      nothing; each ledger belongs to its embedder.    Callers: device drivers, modules.
 * Context:   any but NMI; reclaiming is for threads.          Locks: ledger.lock, a leaf.
 * Invariant: (1) an entry is on one ledger at most, and counts[kind] is the number of those on it.
 * Youngest first: what was taken later may stand on what was taken before, never the other way.
 */
#include <core/ledger.h>

static const char *const kind_names[] = {
    [LEDGER_MEMORY] = "memory",  [LEDGER_PAGES] = "pages",  [LEDGER_MAPPING] = "mappings",
    [LEDGER_IRQ] = "interrupts", [LEDGER_TIMER] = "timers", [LEDGER_QUEUE] = "queues",
    [LEDGER_OBJECT] = "objects",
};
_Static_assert(HX_ARRAY_SIZE(kind_names) == LEDGER_KIND_COUNT, "a kind without a name");

const char *ledger_kind_name(enum ledger_kind kind)
{
    return kind < LEDGER_KIND_COUNT ? kind_names[kind] : "?";
}

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.lock = SPINLOCK_INIT("ledger", LOCK_RANK_LEDGER)};
    list_init(&ledger->entries);
}

void ledger_add(struct ledger *ledger, struct ledger_entry *entry, enum ledger_kind kind,
                void (*release)(struct ledger_entry *entry))
{
    entry->kind = kind;
    entry->release = release;
    u64 irqs = spin_lock_irq(&ledger->lock);
    list_add_head(&ledger->entries, &entry->node);
    ledger->counts[kind]++;
    spin_unlock_irq(&ledger->lock, irqs);
}

static void remove_locked(struct ledger *ledger, struct ledger_entry *entry)
{
    if (list_node_is_linked(&entry->node)) {
        list_remove(&entry->node);
        ledger->counts[entry->kind]--;
    }
}

void ledger_remove(struct ledger *ledger, struct ledger_entry *entry)
{
    u64 irqs = spin_lock_irq(&ledger->lock);
    remove_locked(ledger, entry);
    spin_unlock_irq(&ledger->lock, irqs);
}

u32 ledger_count(struct ledger *ledger)
{
    u32 total = 0;
    u64 irqs = spin_lock_irq(&ledger->lock);
    for (u32 kind = 0; kind < LEDGER_KIND_COUNT; kind++) {
        total += ledger->counts[kind];
    }
    spin_unlock_irq(&ledger->lock, irqs);
    return total;
}

u32 ledger_reclaim(struct ledger *ledger)
{
    for (u32 count = 0;; count++) {
        u64 irqs = spin_lock_irq(&ledger->lock);
        struct ledger_entry *entry = LIST_FIRST(&ledger->entries, struct ledger_entry, node);
        if (entry) {
            remove_locked(ledger, entry);
        }
        spin_unlock_irq(&ledger->lock, irqs);
        if (!entry) {
            return count;
        }
        entry->release(entry);
    }
}
