/* SPDX-License-Identifier: MIT */
/* What a driver of disks implements, and what it calls. All operations run in thread context, one
 * at a time for one disk, never in an interrupt handler: interrupts are taken by the kernel proper,
 * which has poll called. They may not sleep without a deadline.
 * A command is the kernel's. The driver has it from submit until it completes it, or until stop.
 */
#ifndef FS_BLOCK_DRIVER_H
#define FS_BLOCK_DRIVER_H

#include <core/ledger.h>
#include <fs/block.h>

#define BLOCK_DEPTH_MAX        64
#define BLOCK_COMMAND_SEGMENTS 32

struct block_disk;

struct block_command {
    enum block_op op;
    u64 sector; /* of the disk */
    u32 sectors;
    u32 segment_count;
    const struct block_segment *segments;
    u32 index; /* below the disk's depth, and no other's meanwhile: for the driver's own tables */

    /* The block layer's. */
    struct list_node node;
    struct list_node requests;
    struct block_disk *disk;
    u64 deadline_ns;
    bool in_flight;
    bool killer; /* a module was ended by it */
    struct block_segment merged[BLOCK_COMMAND_SEGMENTS];
};

/* Every table that crosses the module boundary starts with its ABI version and its size. */
#define BLOCK_DRIVER_ABI 1
struct block_driver_ops {
    u32 abi_version; /* BLOCK_DRIVER_ABI */
    u32 size;        /* sizeof(struct block_driver_ops) */
    const char *name;
    /* Mandatory. Gives the command to the device. HX_OK: block_command_complete() is called for it
     * once, from here, poll, or not at all if stop comes first. HX_ERR_BUSY: no room until another
     * command completes. Anything else: the command has failed with this status. */
    enum hx_status (*submit)(void *driver, struct block_command *command);
    /* Optional; absent: submit does it. The device may begin with what was submitted. */
    void (*kick)(void *driver);
    /* Optional; absent: everything completes in submit. Completes what the device has done. */
    void (*poll)(void *driver);
    /* Mandatory. Stops the device; its commands are forgotten, not completed. On HX_OK it touches
     * no memory of theirs any more. */
    enum hx_status (*stop)(void *driver);
    /* Mandatory. Makes it ready again after stop. */
    enum hx_status (*start)(void *driver);
    /* Optional, both or none: exchanging the driver while commands are in flight. save writes
     * what the successor needs, a versioned record without pointers, into at most `size` bytes;
     * the driver does nothing any more until resume or release. The other, made for the same
     * device and not started, reads it and goes on with the same commands. */
    enum hx_status (*save_state)(void *driver, void *state, u32 size, u32 *out_size);
    enum hx_status (*restore_state)(void *driver, const void *state, u32 size);
};

struct block_limits {
    u64 sectors;
    u32 block_bytes;  /* power of two, BLOCK_SECTOR to BLOCK_BYTES_MAX */
    u32 depth;        /* commands at a time, 1 to BLOCK_DEPTH_MAX */
    u32 segments_max; /* of a command, BLOCK_REQUEST_SEGMENTS to BLOCK_COMMAND_SEGMENTS */
    u32 discard_max;  /* sectors of one discard; 0: cannot */
    u32 zeroes_max;   /* sectors of one write_zeroes; 0: cannot */
    bool cache;       /* writes are durable only after a flush */
    bool read_only;
};

/* Makes a disk, started already, that nobody sees yet: from here on block_disk_notify() may be told
 * about it. Return: HX_OK; HX_ERR_ABI, HX_ERR_INVALID (table or limits); HX_ERR_NO_MEMORY. */
enum hx_status block_disk_create(const struct block_driver_ops *ops, void *driver,
                                 const struct block_limits *limits,
                                 struct block_disk **out) HX_MUST_CHECK;

/* Shows it: its name is prefix and a letter or a number ("vda", "ram0"). It stands on `ledger`, if
 * there is one. Reads the partition table; so the driver is called before this returns.
 * Return: HX_OK; HX_ERR_INVALID (prefix too long); HX_ERR_NO_SPACE (no name is free);
 * HX_ERR_NO_MEMORY. Unregister takes the disk away in any case. */
enum hx_status block_disk_register(struct block_disk *disk, const char *prefix, bool letters,
                                   struct ledger *ledger) HX_MUST_CHECK;

/* Takes it away: stops it, ends its requests with HX_ERR_CLOSED. The driver is not called any more
 * when it returns. */
void block_disk_unregister(struct block_disk *disk);

/* The device has something to say: poll is called soon. `why` is ignored: the form is that of an
 * interrupt's notification. Context: any but NMI. */
void block_disk_notify(void *disk, u32 why);

/* The command has ended. From submit or poll of its driver. */
void block_command_complete(struct block_command *command, enum hx_status status);

/* The device contradicts itself: it is reset, and its commands are tried again, a few times. From
 * submit or poll of its driver. */
void block_disk_fault(struct block_disk *disk, const char *why);

/* The command in flight with this index, or NULL: for restore_state. */
struct block_command *block_disk_command(struct block_disk *disk, u32 index);

/* The whole disk as a device. The reference is the disk's. */
struct block_device *block_disk_device(struct block_disk *disk);

/* Exchanges the driver for another of the same device, commands in flight included; pending ones
 * wait meanwhile. new_driver has been made and not started. On failure the old one goes on.
 * Return: HX_OK; HX_ERR_NOT_SUPPORTED (one of them cannot), HX_ERR_BUSY (a module serves it),
 * HX_ERR_ABI, HX_ERR_INVALID; what saving
 * or restoring answered. */
enum hx_status block_disk_exchange(struct block_disk *disk, const struct block_driver_ops *new_ops,
                                   void *new_driver) HX_MUST_CHECK;

/* The slot block.driver: a module that moves the data of disks in the place of the driver that
 * found them, which goes on having the device: agreeing with it, resetting it. Calls and their
 * context as above, but through a guard. All are mandatory but `convert`. */
#define BLOCK_PORT_ABI 1
struct block_port_ops {
    u32 abi_version;               /* BLOCK_PORT_ABI */
    u32 size;                      /* sizeof(struct block_port_ops) */
    char hardware[BLOCK_NAME_MAX]; /* what it can drive: the name of the first driver */
    u32 state_version;             /* of what it saves; the first drivers' is 1 */
    /* Makes an instance, which touches nothing until restore_state. hardware: the first driver's.
     */
    enum hx_status (*adopt)(struct block_disk *disk, void *hardware, void **out_driver);
    void (*release)(void *driver);
    enum hx_status (*submit)(void *driver, struct block_command *command);
    void (*kick)(void *driver);
    void (*poll)(void *driver);
    enum hx_status (*save_state)(void *driver, void *state, u32 size, u32 *out_size);
    enum hx_status (*restore_state)(void *driver, const void *state, u32 size);
    /* Turns a state of version `from` into one of version `to`, in place; one of them is its own.
     * *size: what it is, and becomes, of the 256 bytes that there are. Absent: it cannot. */
    enum hx_status (*convert)(void *state, u32 *size, u32 from, u32 to);
};

/* Modules may serve this disk from now on. hardware: what their adopt is handed. */
void block_disk_portable(struct block_disk *disk, void *hardware);

/* For modules, as block_disk_command(), block_command_complete(), block_disk_fault(): about disks
 * that the caller serves; about others they do nothing. */
struct block_command *block_port_command(const struct block_disk *disk, u32 index);
void block_port_complete(const struct block_disk *disk, u32 index, enum hx_status status);
void block_port_fault(const struct block_disk *disk);

#endif
