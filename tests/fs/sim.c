/* SPDX-License-Identifier: MIT */
/* The simulated device, see sim.h. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static struct sim *sim_of(struct bdev *dev)
{
    return dev->ctx;
}

static bool fails(struct sim *sim, u64 *counter)
{
    if (*counter == 0) {
        return false;
    }
    if (--*counter > 0) {
        return false;
    }
    if (sim->fail_forever) {
        *counter = 1;
    }
    return true;
}

static struct sim_event *event_add(struct sim_event **events, u32 *count, u32 *room)
{
    if (*count == *room) {
        *room = *room > 0 ? *room * 2 : 256;
        *events = realloc(*events, *room * sizeof(**events));
    }
    return &(*events)[(*count)++];
}

static enum hx_status sim_read(struct bdev *dev, u64 block, u32 count, void *buf)
{
    struct sim *sim = sim_of(dev);
    sim->reads++;
    sim->bytes_read += (u64)count * BDEV_BLOCK;
    if (fails(sim, &sim->fail_read)) {
        return HX_ERR_IO;
    }
    memcpy(buf, sim->data + block * BDEV_BLOCK, (size_t)count * BDEV_BLOCK);
    return HX_OK;
}

static enum hx_status sim_write(struct bdev *dev, u64 block, u32 count, const void *buf)
{
    struct sim *sim = sim_of(dev);
    sim->writes++;
    sim->bytes_written += (u64)count * BDEV_BLOCK;
    if (fails(sim, &sim->fail_write)) {
        return HX_ERR_IO;
    }
    for (u32 i = 0; sim->recording && i < count; i++) {
        struct sim_event *e = event_add(&sim->events, &sim->event_count, &sim->event_room);
        *e = (struct sim_event){.kind = SIM_WRITE, .block = block + i, .mark = sim->mark};
        e->data = malloc(BDEV_BLOCK);
        memcpy(e->data, (const u8 *)buf + (size_t)i * BDEV_BLOCK, BDEV_BLOCK);
    }
    memcpy(sim->data + block * BDEV_BLOCK, buf, (size_t)count * BDEV_BLOCK);
    return HX_OK;
}

static enum hx_status sim_flush(struct bdev *dev)
{
    struct sim *sim = sim_of(dev);
    sim->flushes++;
    if (fails(sim, &sim->fail_flush)) {
        return HX_ERR_IO;
    }
    if (sim->recording) {
        struct sim_event *e = event_add(&sim->events, &sim->event_count, &sim->event_room);
        *e = (struct sim_event){.kind = SIM_FLUSH, .mark = sim->mark};
    }
    return HX_OK;
}

static const struct bdev_ops sim_ops = {.read = sim_read, .write = sim_write, .flush = sim_flush};

void sim_init(struct sim *sim, u64 blocks)
{
    *sim = (struct sim){.dev = {.ops = &sim_ops, .blocks = blocks, .ctx = sim}};
    sim->data = calloc(blocks, BDEV_BLOCK);
}

static void events_free(struct sim_event *events, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        free(events[i].data);
    }
}

void sim_record(struct sim *sim, bool on)
{
    events_free(sim->events, sim->event_count);
    sim->event_count = 0;
    sim->recording = on;
}

void sim_fini(struct sim *sim)
{
    events_free(sim->events, sim->event_count);
    free(sim->events);
    free(sim->data);
}

/* Overlay */

static enum hx_status overlay_read(struct bdev *dev, u64 block, u32 count, void *buf)
{
    struct overlay *o = dev->ctx;
    for (u32 i = 0; i < count; i++) {
        const u8 *from = o->block[block + i];
        from = from != NULL ? from : o->base + (block + i) * BDEV_BLOCK;
        memcpy((u8 *)buf + (size_t)i * BDEV_BLOCK, from, BDEV_BLOCK);
    }
    return HX_OK;
}

static enum hx_status overlay_write(struct bdev *dev, u64 block, u32 count, const void *buf)
{
    struct overlay *o = dev->ctx;
    for (u32 i = 0; i < count; i++) {
        const u8 *data = (const u8 *)buf + (size_t)i * BDEV_BLOCK;
        struct sim_event *e = event_add(&o->events, &o->event_count, &o->event_room);
        *e = (struct sim_event){.kind = SIM_WRITE, .block = block + i};
        e->data = malloc(BDEV_BLOCK);
        memcpy(e->data, data, BDEV_BLOCK);
        overlay_put(o, block + i, data, 0xff);
    }
    return HX_OK;
}

static enum hx_status overlay_flush(struct bdev *dev)
{
    struct overlay *o = dev->ctx;
    struct sim_event *e = event_add(&o->events, &o->event_count, &o->event_room);
    *e = (struct sim_event){.kind = SIM_FLUSH};
    return HX_OK;
}

static const struct bdev_ops overlay_ops = {
    .read = overlay_read, .write = overlay_write, .flush = overlay_flush};

void overlay_init(struct overlay *o, const u8 *base, u64 blocks)
{
    *o = (struct overlay){.dev = {.ops = &overlay_ops, .blocks = blocks, .ctx = o}, .base = base};
    o->block = calloc(blocks, sizeof(*o->block));
    o->touched = calloc(blocks, sizeof(*o->touched));
}

void overlay_put(struct overlay *o, u64 block, const u8 *data, u32 sector_mask)
{
    if (o->block[block] == NULL) {
        o->block[block] = malloc(BDEV_BLOCK);
        memcpy(o->block[block], o->base + block * BDEV_BLOCK, BDEV_BLOCK);
        o->touched[o->touched_count++] = block;
    }
    for (u32 i = 0; i < SIM_BLOCK_SECTORS; i++) {
        if ((sector_mask >> i & 1) != 0) {
            memcpy(o->block[block] + i * SIM_SECTOR, data + i * SIM_SECTOR, SIM_SECTOR);
        }
    }
}

void overlay_reset(struct overlay *o)
{
    for (u32 i = 0; i < o->touched_count; i++) {
        free(o->block[o->touched[i]]);
        o->block[o->touched[i]] = NULL;
    }
    o->touched_count = 0;
    events_free(o->events, o->event_count);
    o->event_count = 0;
}

void overlay_fini(struct overlay *o)
{
    overlay_reset(o);
    free(o->events);
    free(o->block);
    free(o->touched);
}

u64 rng_next(u64 *state)
{
    u64 x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

u32 rng_below(u64 *state, u32 n)
{
    return (u32)((rng_next(state) >> 16) % n);
}
