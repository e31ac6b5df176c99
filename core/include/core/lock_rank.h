/* SPDX-License-Identifier: MIT */
/* The one lock order. A CPU that holds a spinlock takes only locks of a higher rank; the debug
 * build checks it. Next to each rank stands why it is where it is.
 */
#ifndef CORE_LOCK_RANK_H
#define CORE_LOCK_RANK_H

enum lock_rank {
    LOCK_RANK_MOUNTS = 90,    /* mount tables: a leaf */
    LOCK_RANK_DCACHE = 91,    /* names in the cache: a leaf */
    LOCK_RANK_PROCESS = 100,  /* tree of processes, threads of one */
    LOCK_RANK_HANDLES = 110,  /* a handle table: a leaf, references are dropped outside */
    LOCK_RANK_QUOTA = 115,    /* list of quotas: a leaf */
    LOCK_RANK_TASKS = 120,    /* list of all tasks */
    LOCK_RANK_GRACE = 130,    /* callbacks that wait for a grace period: a leaf */
    LOCK_RANK_LEDGER = 135,   /* what a driver or module took: a leaf */
    LOCK_RANK_BLOCK = 140,    /* requests of a block device; wakes tasks below it */
    LOCK_RANK_IPC = 145,      /* a channel; switches and wakes tasks below it */
    LOCK_RANK_WAIT = 150,     /* a wait queue; wakes tasks below it */
    LOCK_RANK_IRQ = 200,      /* handlers of one line; handlers run outside of it */
    LOCK_RANK_DONATION = 240, /* who runs on whose context; moves them between queues below it */
    LOCK_RANK_RUNQUEUE = 250, /* run queue of a CPU; arms timers below it; others' are only tried */
    LOCK_RANK_INBOX = 260,    /* contexts on their way to a CPU: a leaf */
    LOCK_RANK_POOL = 262,     /* CPU time of a group: a leaf */
    LOCK_RANK_CTX_IDS = 264,  /* ids of contexts: a leaf */
    LOCK_RANK_STACK = 380,    /* idle kernel stacks: a leaf, mapping happens outside */
    LOCK_RANK_SPACE = 400,    /* kernel address space: takes frames below it */
    LOCK_RANK_HEAP_TABLE = 440, /* table of heap caches: a leaf */
    LOCK_RANK_HEAP = 450,       /* slabs of a cache: a leaf, frames are taken outside */
    LOCK_RANK_FRAME = 500,      /* frame allocator: a leaf but for the log */
    LOCK_RANK_TIMER = 510,      /* timer queue of a CPU: a leaf, callbacks run outside of it */
    LOCK_RANK_RANDOM = 790,     /* random generator: a leaf */
    LOCK_RANK_INPUT = 800,      /* console input ring: a leaf, filled by interrupt handlers */
    LOCK_RANK_LOG = 900,        /* log ring: anything may log while holding a lock */
    LOCK_RANK_CONSOLE = 910,    /* consoles: the log writes to them after leaving its ring */
};

#endif
