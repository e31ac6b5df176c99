/* SPDX-License-Identifier: MIT */
/* Inside the block layer: the disk, which both the queue and the registry know.
 */
#ifndef BLOCK_PRIV_H
#define BLOCK_PRIV_H

#include <core/spinlock.h>
#include <core/sync.h>
#include <core/task.h>
#include <core/time.h>
#include <fs/block_driver.h>

enum request_state { REQUEST_NEW, REQUEST_PENDING, REQUEST_IN_FLIGHT, REQUEST_DONE };

/* Marking: I immutable once registered; l lock; s serial; w work.lock; a atomic. */
struct block_disk {
    char name[BLOCK_NAME_MAX];        /* I */
    char driver_name[BLOCK_NAME_MAX]; /* s: outlives the driver */
    struct ledger *ledger;            /* I: where `entry` is, or NULL */
    struct ledger_entry entry;
    const struct block_driver_ops *ops;       /* s */
    void *driver;                             /* s */
    const struct block_driver_ops *first_ops; /* I: of the driver that found it; slot.c */
    void *first_driver, *hardware;            /* I */
    bool moving;                              /* s: a module is being handed its commands */
    struct block_limits limits;               /* I */
    u32 refs;                                 /* a: registration, devices that somebody found */
    struct list_node devices;                 /* registry: struct block_device */

    struct mutex serial;            /* whoever has it calls the driver */
    struct spinlock lock;           /* LOCK_RANK_BLOCK, interrupts masked */
    enum hx_status dead;            /* l: why nothing is accepted any more; HX_OK while it works */
    struct list_node reads, writes; /* l: pending; reads; all else, in order */
    struct list_node finished;      /* l: ended, done() to be called */
    struct list_node idle, busy;    /* l: struct block_command */
    u32 writes_in_flight;           /* l: commands that change what is stored */
    bool barrier;                   /* l: a flush is in flight */
    bool stalled;                   /* s: the driver has no room until something completes */
    const char *fault;              /* s: why the device is to be reset, or NULL */
    u32 resets_in_row;              /* s: without a command that succeeded in between */
    struct block_stats stats;       /* l */

    struct wait_queue work;         /* where the worker waits */
    bool notified, ending;          /* w */
    struct task *worker;            /* I */
    struct timer watchdog;          /* armed while something may have to time out */
    bool watching;                  /* l */
    struct block_command *commands; /* I: limits.depth of them */
};

struct block_device {
    struct list_node node; /* registry: all devices */
    struct list_node on_disk;
    struct block_disk *disk;   /* I */
    char name[BLOCK_NAME_MAX]; /* I */
    char label[40];            /* I */
    u64 start, sectors;        /* I */
    bool partition;            /* I */
    bool listed;               /* registry */
};

/* queue.c. end stops device and worker and ends all requests; destroy frees the disk after that. */
void disk_end(struct block_disk *disk);
void disk_destroy(struct block_disk *disk);

/* Stops and starts the device: what is overdue has failed, the rest is tried again. `serial` is
 * held. */
void disk_reset(struct block_disk *disk, const char *why);

/* slot.c: no module serves the disk any more; the device is to be stopped next. */
void disk_port_end(struct block_disk *disk);

/* Submits a request whose sector is the disk's and whose form was checked. */
enum hx_status disk_submit(struct block_disk *disk, struct block_request *request) HX_MUST_CHECK;

#endif
