/* SPDX-License-Identifier: MIT */
/* Ledgers: what somebody who may be taken away took, so that all of it can be taken back. A driver
 * of a device has one for each device, a module has one. What is taken carries an entry on the
 * ledger of its taker; giving it back takes the entry off; what is left when the taker goes is
 * reclaimed and counted.
 */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include <core/spinlock.h>
#include <helix/list.h>

enum ledger_kind {
    LEDGER_MEMORY,  /* from the heap */
    LEDGER_PAGES,   /* frames, as DMA memory or otherwise */
    LEDGER_MAPPING, /* device registers */
    LEDGER_IRQ,
    LEDGER_TIMER,
    LEDGER_QUEUE,  /* a device's request queue */
    LEDGER_OBJECT, /* an object of a higher layer */
    LEDGER_KIND_COUNT
};

struct ledger {
    struct spinlock lock;
    struct list_node entries;      /* l: youngest first */
    u32 counts[LEDGER_KIND_COUNT]; /* l */
};

/* Part of what was taken; its memory is the owner's of that. */
struct ledger_entry {
    struct list_node node;
    enum ledger_kind kind;
    /* Gives back what this is a part of. Called once, off the ledger. Thread. */
    void (*release)(struct ledger_entry *entry);
};

void ledger_init(struct ledger *ledger);

/* Context of the three: any but NMI. */
void ledger_add(struct ledger *ledger, struct ledger_entry *entry, enum ledger_kind kind,
                void (*release)(struct ledger_entry *entry));
void ledger_remove(struct ledger *ledger, struct ledger_entry *entry);
u32 ledger_count(struct ledger *ledger);

/* Gives back what is left, youngest first. Return: how many entries that were. Thread. */
u32 ledger_reclaim(struct ledger *ledger);

const char *ledger_kind_name(enum ledger_kind kind);

#endif
