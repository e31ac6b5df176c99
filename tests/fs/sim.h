/* SPDX-License-Identifier: MIT */
/* A block device in memory that remembers what was done to it, can fail on demand, and can show
 * what a disk may hold after a power cut: between two flushes any subset of the writes, each whole,
 * torn at 512-byte sectors, or not there.
 */
#ifndef TEST_FS_SIM_H
#define TEST_FS_SIM_H

#include <fs/bdev.h>
#include <helix/types.h>

#define SIM_SECTOR        512u
#define SIM_BLOCK_SECTORS (BDEV_BLOCK / SIM_SECTOR)

enum sim_kind { SIM_WRITE, SIM_FLUSH };

struct sim_event {
    enum sim_kind kind;
    u64 block; /* SIM_WRITE: one block; a longer write is several events */
    u8 *data;  /* BDEV_BLOCK bytes */
    u64 mark;  /* sim.mark when it happened: what the test had been promised by then */
};

struct sim {
    struct bdev dev;
    u8 *data; /* as the running system sees it */
    struct sim_event *events;
    u32 event_count, event_room;
    bool recording;
    u64 mark;
    u64 reads, writes, flushes, bytes_read, bytes_written;
    u64 fail_read, fail_write, fail_flush; /* the n-th from now fails once; 0: none */
    bool fail_forever;                     /* and every later one */
};

void sim_init(struct sim *sim, u64 blocks);
void sim_fini(struct sim *sim);
/* Forgets the events; what is on the device stays. */
void sim_record(struct sim *sim, bool on);

/* A copy-on-write view of a base image: a crash state costs what it changes. */
struct overlay {
    struct bdev dev;
    const u8 *base;
    u8 **block;   /* NULL: as in base */
    u64 *touched; /* block numbers, for a cheap reset */
    u32 touched_count;
    /* Writes made through the device, for crashes within recovery. */
    struct sim_event *events;
    u32 event_count, event_room;
};

void overlay_init(struct overlay *o, const u8 *base, u64 blocks);
void overlay_reset(struct overlay *o);
void overlay_fini(struct overlay *o);
/* Puts the sectors of mask (bit i: sector i) of data at block. */
void overlay_put(struct overlay *o, u64 block, const u8 *data, u32 sector_mask);

/* xorshift; the seed must not be 0. */
u64 rng_next(u64 *state);
u32 rng_below(u64 *state, u32 n);

#endif
