/* SPDX-License-Identifier: MIT */
/* Disks behind virtio.
 * Owns:      the memory in which each command has its header and its status; of the device, one
 *            queue and the interrupt.       Caller: the block layer, one call at a time for a disk.
 * Context:   thread; may sleep for at most the time that a reset takes.
 * A command is a chain: header, memory of its segments or a range, status byte. Its header and
 * status lie in the slot that is its index, so that a successor finds them: nothing about a command
 * in flight is known here alone. Invariant: (1) slot i is the device's exactly while command i is
 * in flight. Spec:      VIRTIO 1.2, 5.2. Multi-queue is not negotiated: one queue serves all CPUs.
 */
#include <core/memory.h>
#include <device/virtio.h>
#include <fs/block_driver.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>
#include <modules/virtio_blk.h>

#define F_SEG_MAX      (1ull << 2)
#define F_READ_ONLY    (1ull << 5)
#define F_BLOCK_SIZE   (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
#define FEATURES       (F_SEG_MAX | F_READ_ONLY | F_BLOCK_SIZE | F_FLUSH | F_DISCARD | F_WRITE_ZEROES)

#define CONFIG_CAPACITY    0
#define CONFIG_SEG_MAX     12
#define CONFIG_BLOCK_SIZE  20
#define CONFIG_DISCARD_MAX 36
#define CONFIG_ZEROES_MAX  48

#define TYPE_READ         0u
#define TYPE_WRITE        1u
#define TYPE_FLUSH        4u
#define TYPE_DISCARD      11u
#define TYPE_WRITE_ZEROES 13u
#define STATUS_OK         0
#define STATUS_NOT_KNOWN  2
#define STATUS_NONE       0xff /* what the byte holds before the device has written it */

#define DEPTH       32
#define QUEUE_SIZE  256
#define DISCARD_TOP (1u << 20) /* sectors at a time, so that a discard ends soon */

/* What the device reads and writes for one command. */
struct slot {
    u32 type, reserved;
    u64 sector;
    struct {
        u64 sector;
        u32 sectors, flags;
    } range; /* discard, write zeroes */
    u8 status;
    u8 pad[31];
};
_Static_assert(sizeof(struct slot) == 64, "slots do not share cache lines");
_Static_assert(offsetof(struct slot, range) == 16, "VIRTIO 5.2.6");

struct virtio_blk {
    struct virtio_device *vd;
    struct virtqueue *vq;
    struct device_dma *dma;
    struct slot *slots;
    struct block_disk *disk;
    u64 features; /* wanted, and agreed on from the first start on */
    bool agreed;
    struct block_command *commands[DEPTH]; /* in flight, by index */
};

static const u32 types[BLOCK_OP_COUNT] = {
    [BLOCK_READ] = TYPE_READ,
    [BLOCK_WRITE] = TYPE_WRITE,
    [BLOCK_FLUSH] = TYPE_FLUSH,
    [BLOCK_DISCARD] = TYPE_DISCARD,
    [BLOCK_WRITE_ZEROES] = TYPE_WRITE_ZEROES,
};

static enum hx_status blk_submit(void *driver, struct block_command *command)
{
    struct virtio_blk *blk = driver;
    struct virtio_buffer chain[BLOCK_COMMAND_SEGMENTS + 2];
    struct slot *slot = &blk->slots[command->index];
    paddr_t bus = blk->dma->bus + command->index * sizeof(*slot);
    u32 readable = 1, writable = 0, count = 1;
    chain[0] = (struct virtio_buffer){.address = bus, .size = offsetof(struct slot, range)};
    slot->type = types[command->op];
    slot->reserved = 0;
    slot->sector = command->sector;
    slot->status = STATUS_NONE;
    if (command->op == BLOCK_DISCARD || command->op == BLOCK_WRITE_ZEROES) {
        slot->sector = 0;
        slot->range.sector = command->sector;
        slot->range.sectors = command->sectors;
        slot->range.flags = 0;
        chain[count++] = (struct virtio_buffer){.address = bus + offsetof(struct slot, range),
                                                .size = sizeof(slot->range)};
        readable++;
    }
    for (u32 i = 0; i < command->segment_count; i++) {
        chain[count].address = command->segments[i].address;
        chain[count++].size = command->segments[i].size;
    }
    *(command->op == BLOCK_READ ? &writable : &readable) += command->segment_count;
    chain[count] =
        (struct virtio_buffer){.address = bus + offsetof(struct slot, status), .size = 1};
    enum hx_status status = virtqueue_add(blk->vq, chain, readable, writable + 1, slot);
    if (status == HX_OK) {
        blk->commands[command->index] = command; /* inv 1 */
    }
    return status;
}

static void blk_kick(void *driver)
{
    virtqueue_kick(((struct virtio_blk *)driver)->vq);
}

static void blk_poll(void *driver)
{
    struct virtio_blk *blk = driver;
    enum hx_status status;
    void *token;
    u32 written;
    while ((status = virtqueue_next(blk->vq, &token, &written)) == HX_OK) {
        u32 index = (u32)((struct slot *)token - blk->slots);
        struct block_command *command = blk->commands[index];
        u8 answer = HX_READ_ONCE(blk->slots[index].status);
        /* A read that came short would hand out what the memory held before. */
        bool all = command->op != BLOCK_READ || written == (u64)command->sectors * BLOCK_SECTOR + 1;
        blk->commands[index] = NULL;
        block_command_complete(command, answer == STATUS_OK && all   ? HX_OK
                                        : answer == STATUS_NOT_KNOWN ? HX_ERR_NOT_SUPPORTED
                                                                     : HX_ERR_IO);
    }
    if (status == HX_ERR_CORRUPT) {
        block_disk_fault(blk->disk, blk->vq->broken);
    }
}

static enum hx_status blk_stop(void *driver)
{
    struct virtio_blk *blk = driver;
    enum hx_status status = virtio_reset(blk->vd); /* the queue goes with it */
    if (status == HX_OK) {
        blk->vq = NULL;
    }
    memset(blk->commands, 0, sizeof(blk->commands));
    return status;
}

/* Agrees with the device and makes the queue; the same features as the first time. */
static enum hx_status blk_start(void *driver)
{
    struct virtio_blk *blk = driver;
    enum hx_status status = virtio_negotiate(blk->vd, blk->features);
    if (status == HX_OK && blk->agreed && blk->vd->features != blk->features) {
        status = HX_ERR_CORRUPT; /* after a reset it is another device */
    }
    if (status == HX_OK) {
        status = virtqueue_create(blk->vd, 0, QUEUE_SIZE, &blk->vq);
    }
    if (status == HX_OK) {
        blk->features = blk->vd->features;
        blk->agreed = true;
        virtio_start(blk->vd);
    }
    return status;
}

/* State that a successor needs: what was agreed, and which commands are in flight. The queue and
 * the slots are the kernel's and stay where they are. */
#define STATE_VERSION 1
struct state {
    u32 version, size;
    u64 features;
    u32 in_flight[(DEPTH + 31) / 32];
};

static enum hx_status blk_save_state(void *driver, void *out, u32 size, u32 *out_size)
{
    const struct virtio_blk *blk = driver;
    struct state state = {
        .version = STATE_VERSION, .size = sizeof(state), .features = blk->features};
    if (size < sizeof(state)) {
        return HX_ERR_NO_SPACE;
    }
    for (u32 i = 0; i < DEPTH; i++) {
        state.in_flight[i / 32] |= (u32)(blk->commands[i] != NULL) << i % 32;
    }
    memcpy(out, &state, sizeof(state));
    *out_size = sizeof(state);
    return HX_OK;
}

static enum hx_status blk_restore_state(void *driver, const void *in, u32 size)
{
    struct virtio_blk *blk = driver;
    struct state state;
    if (size != sizeof(state)) {
        return HX_ERR_CORRUPT;
    }
    memcpy(&state, in, sizeof(state));
    if (state.version != STATE_VERSION || state.size != sizeof(state)) {
        return HX_ERR_ABI;
    }
    blk->vq = blk->vd->queues[0];
    blk->dma = blk->vd->memory;
    blk->slots = blk->dma->cpu;
    blk->features = state.features;
    blk->agreed = true;
    if (!blk->vq || blk->features != blk->vd->features) {
        return HX_ERR_BAD_STATE;
    }
    for (u32 i = 0; i < DEPTH; i++) {
        bool flies = state.in_flight[i / 32] >> i % 32 & 1;
        blk->commands[i] = flies ? block_disk_command(blk->disk, i) : NULL;
        if (flies && !blk->commands[i]) {
            return HX_ERR_CORRUPT;
        }
    }
    return HX_OK;
}

static const struct block_driver_ops blk_ops = {
    .abi_version = BLOCK_DRIVER_ABI,
    .size = sizeof(struct block_driver_ops),
    .name = "virtio-blk",
    .submit = blk_submit,
    .kick = blk_kick,
    .poll = blk_poll,
    .stop = blk_stop,
    .start = blk_start,
    .save_state = blk_save_state,
    .restore_state = blk_restore_state,
};

/* A little-endian number of the configuration, 0 when it is not there. */
static u64 config_number(struct virtio_device *vd, u32 offset, u32 size)
{
    u8 bytes[8] = {0};
    return virtio_config_read(vd, offset, bytes, size) == HX_OK ? hx_load_le64(bytes) : 0;
}

static enum hx_status limits_read(struct virtio_blk *blk, struct block_limits *out)
{
    struct virtio_device *vd = blk->vd;
    u64 block =
        virtio_has(vd, F_BLOCK_SIZE) ? config_number(vd, CONFIG_BLOCK_SIZE, 4) : BLOCK_SECTOR;
    u64 segments = virtio_has(vd, F_SEG_MAX) ? config_number(vd, CONFIG_SEG_MAX, 4) : UINT32_MAX;
    segments = hx_min_u64(segments, blk->vq->size - 2);
    if (block < BLOCK_SECTOR || block > BLOCK_BYTES_MAX || !hx_is_pow2(block) ||
        segments < BLOCK_REQUEST_SEGMENTS) {
        log_warn("virtio-blk", "%s wants blocks of %lu bytes, %lu pieces at a time", vd->dev.name,
                 block, segments);
        return HX_ERR_NOT_SUPPORTED;
    }
    *out = (struct block_limits){
        .sectors = hx_align_down(config_number(vd, CONFIG_CAPACITY, 8), block / BLOCK_SECTOR),
        .block_bytes = (u32)block,
        .depth = DEPTH,
        .segments_max = (u32)hx_min_u64(segments, BLOCK_COMMAND_SEGMENTS),
        .cache = virtio_has(vd, F_FLUSH),
        .read_only = virtio_has(vd, F_READ_ONLY),
    };
    if (virtio_has(vd, F_DISCARD)) {
        out->discard_max = (u32)hx_min_u64(config_number(vd, CONFIG_DISCARD_MAX, 4), DISCARD_TOP);
    }
    if (virtio_has(vd, F_WRITE_ZEROES)) {
        out->zeroes_max = (u32)hx_min_u64(config_number(vd, CONFIG_ZEROES_MAX, 4), DISCARD_TOP);
    }
    return HX_OK;
}

static enum hx_status attach_parts(struct virtio_blk *blk, struct device *dev)
{
    struct block_limits limits;
    enum hx_status status = device_dma_alloc(dev, DEPTH * sizeof(struct slot), &blk->dma);
    if (status != HX_OK) {
        return status;
    }
    blk->slots = blk->dma->cpu;
    blk->vd->memory = blk->dma;
    status = virtio_irq_enable(blk->vd);
    if (status == HX_OK) {
        status = blk_start(blk);
    }
    if (status == HX_OK) {
        status = limits_read(blk, &limits);
    }
    if (status == HX_OK) {
        status = block_disk_create(&blk_ops, blk, &limits, &blk->disk);
    }
    if (status == HX_OK) {
        dev->driver_data = blk;
        virtio_notify_set(blk->vd, block_disk_notify, blk->disk);
        status = block_disk_register(blk->disk, "vd", true, &dev->ledger);
        if (status != HX_OK) {
            virtio_notify_set(blk->vd, NULL, NULL);
            block_disk_unregister(blk->disk);
        }
    }
    return status;
}

static enum hx_status blk_attach(struct device *dev)
{
    struct virtio_blk *blk = kzalloc(sizeof(*blk));
    if (!blk) {
        return HX_ERR_NO_MEMORY;
    }
    blk->vd = HX_CONTAINER_OF(dev, struct virtio_device, dev);
    blk->features = FEATURES;
    enum hx_status status = attach_parts(blk, dev);
    if (status != HX_OK) {
        kfree(blk); /* what else it took is on the ledger */
    }
    return status;
}

static void blk_detach(struct device *dev)
{
    struct virtio_blk *blk = dev->driver_data;
    virtio_notify_set(blk->vd, NULL, NULL);
    block_disk_unregister(blk->disk); /* stops the device */
    device_irq_release(blk->vd->irq);
    device_dma_free(blk->dma);
    kfree(blk);
}

static const struct device_match matches[] = {{.bus = DEVICE_VIRTIO, .id = VIRTIO_BLOCK}};

static const struct device_driver virtio_blk_driver = {
    .abi_version = DEVICE_DRIVER_ABI,
    .size = sizeof(struct device_driver),
    .name = "virtio-blk",
    .matches = matches,
    .match_count = HX_ARRAY_SIZE(matches),
    .attach = blk_attach,
    .detach = blk_detach,
};
HX_SET_ADD(device_drivers, virtio_blk_driver);

enum hx_status virtio_blk_renew(struct device *dev)
{
    struct virtio_blk *old = dev->driver_data, *blk = kzalloc(sizeof(*blk));
    if (!blk) {
        return HX_ERR_NO_MEMORY;
    }
    blk->vd = old->vd;
    blk->disk = old->disk;
    enum hx_status status = block_disk_exchange(old->disk, &blk_ops, blk);
    if (status == HX_OK) {
        dev->driver_data = blk;
    }
    kfree(status == HX_OK ? old : blk);
    return status;
}
