/* SPDX-License-Identifier: MIT */
/* Virtqueues against a device that lies: each thing it can do wrong has its words, and none of them
 * costs more than the queue.
 */
#include <core/memory.h>
#include <device/virtio.h>
#include <helix/list.h>
#include <ktest.h>
#include <memory/frame.h>

#define SIZE 8

/* The other side of a queue, played by hand. */
static struct {
    struct device hardware;
    struct virtio_device vd;
    struct virtqueue *vq;
    u32 status, kicks, queue_size, stuck_status;
    u64 offered;
    bool refuses_features;
    u64 frames;
} fake;

static u32 status_read(struct virtio_device *vd)
{
    (void)vd;
    return fake.stuck_status ? fake.stuck_status : fake.status;
}

static void status_write(struct virtio_device *vd, u32 status)
{
    (void)vd;
    fake.status = fake.refuses_features ? status & ~8u : status;
}

static u64 features_read(struct virtio_device *vd)
{
    (void)vd;
    return fake.offered;
}

static void features_write(struct virtio_device *vd, u64 features)
{
    (void)vd;
    (void)features;
}

static u32 queue_size(struct virtio_device *vd, u32 index)
{
    (void)vd;
    return index == 0 ? fake.queue_size : 0;
}

static enum hx_status queue_start(struct virtio_device *vd, struct virtqueue *vq)
{
    (void)vd;
    (void)vq;
    return HX_OK;
}

static void notify(struct virtqueue *vq)
{
    (void)vq;
    fake.kicks++;
}

static u32 interrupt_why(struct virtio_device *vd)
{
    (void)vd;
    return 0;
}

static u32 generation(struct virtio_device *vd)
{
    (void)vd;
    static u32 count;
    return fake.stuck_status ? count++ : 7; /* stuck: it never settles */
}

static u8 config_read(struct virtio_device *vd, u32 offset)
{
    (void)vd;
    return (u8)offset;
}

static void config_write(struct virtio_device *vd, u32 offset, u8 value)
{
    (void)vd;
    (void)offset;
    (void)value;
}

static const struct virtio_transport transport = {
    .name = "fake",
    .status_read = status_read,
    .status_write = status_write,
    .features_read = features_read,
    .features_write = features_write,
    .queue_size = queue_size,
    .queue_start = queue_start,
    .notify = notify,
    .interrupt = interrupt_why,
    .config_generation = generation,
    .config_read = config_read,
    .config_write = config_write,
};

static void begin(u32 size)
{
    memset(&fake, 0, sizeof(fake));
    fake.frames = frame_count_owner(FRAME_DRIVER);
    fake.hardware.coherent = true;
    fake.vd.dev.bus = DEVICE_VIRTIO;
    fake.vd.dev.parent = &fake.hardware;
    fake.vd.transport = &transport;
    fake.vd.config_size = 64;
    fake.queue_size = size;
    fake.offered = VIRTIO_F_VERSION_1;
    str_copy(fake.vd.dev.name, "fake", sizeof(fake.vd.dev.name));
    ledger_init(&fake.vd.dev.ledger);
}

static void begin_queue(void)
{
    begin(SIZE);
    KTEST_STATUS(virtio_negotiate(&fake.vd, 0), HX_OK);
    KTEST_STATUS(virtqueue_create(&fake.vd, 0, 256, &fake.vq), HX_OK);
    KTEST_EQUAL(fake.vq->size, SIZE);
}

/* Whatever a test left: reclaimed as from a driver that died. */
static void end(void)
{
    ledger_reclaim(&fake.vd.dev.ledger);
    KTEST_EQUAL(ledger_count(&fake.vd.dev.ledger), 0);
    KTEST_EQUAL(frame_count_owner(FRAME_DRIVER), fake.frames);
}

static const struct virtio_buffer three[3] = {{0x1000, 16}, {0x2000, 512}, {0x3000, 1}};

/* The device says that it is done with what begins at `id`. */
static void complete(u32 id, u32 written)
{
    struct virtqueue *vq = fake.vq;
    u16 index = vq->used[1];
    u32 *used = (u32 *)&vq->used[2] + (size_t)2 * (index % vq->size);
    used[0] = id;
    used[1] = written;
    __atomic_store_n(&vq->used[1], (u16)(index + 1), __ATOMIC_RELEASE);
}

static u32 last_head(void)
{
    return fake.vq->avail[2 + (u16)(fake.vq->avail[1] - 1) % SIZE];
}

KTEST(virtio, a_chain_goes_there_and_comes_back)
{
    void *token;
    u32 written;
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_next(fake.vq, &token, &written), HX_ERR_END);
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    virtqueue_kick(fake.vq);
    KTEST_EQUAL(fake.kicks, 1);
    fake.vq->used[0] = 1; /* it does not want to be told */
    virtqueue_kick(fake.vq);
    KTEST_EQUAL(fake.kicks, 1);
    u32 at = last_head();
    KTEST_EQUAL(fake.vq->desc[at].address, 0x1000);
    KTEST_EQUAL(fake.vq->desc[at].flags, 1);
    at = fake.vq->desc[at].next;
    KTEST_EQUAL(fake.vq->desc[at].flags, 3);
    at = fake.vq->desc[at].next;
    KTEST_EQUAL(fake.vq->desc[at].flags, 2);
    KTEST_EQUAL(fake.vq->desc[at].size, 1);
    complete(last_head(), 513);
    KTEST_ASSERT(virtqueue_has_next(fake.vq));
    KTEST_STATUS(virtqueue_next(fake.vq, &token, &written), HX_OK);
    KTEST_ASSERT(token == &fake);
    KTEST_EQUAL(written, 513);
    KTEST_EQUAL(fake.vq->free_count, SIZE);
    KTEST_CALL(end());
}

KTEST(virtio, a_full_queue_is_busy_and_nonsense_is_invalid)
{
    struct virtio_buffer many[SIZE + 1] = {{0}};
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_add(fake.vq, many, 0, 0, &fake), HX_ERR_INVALID);
    KTEST_STATUS(virtqueue_add(fake.vq, many, SIZE, 1, &fake), HX_ERR_INVALID);
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, NULL), HX_ERR_INVALID);
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_ERR_BUSY);
    KTEST_STATUS(virtqueue_create(&fake.vd, 0, 4, &fake.vq), HX_ERR_EXISTS);
    KTEST_CALL(end());
}

static void expect_broken(const char *why)
{
    void *token;
    u32 written;
    KTEST_STATUS(virtqueue_next(fake.vq, &token, &written), HX_ERR_CORRUPT);
    KTEST_STRING(fake.vq->broken, why);
    KTEST_STATUS(virtqueue_next(fake.vq, &token, &written), HX_ERR_CORRUPT);
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_ERR_IO);
}

KTEST(virtio, an_entry_out_of_range_breaks_the_queue)
{
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    complete(0xfffffff0u, 0);
    KTEST_CALL(expect_broken("completed what it was not given"));
    KTEST_CALL(end());
}

KTEST(virtio, a_completion_twice_breaks_the_queue)
{
    void *token;
    u32 written;
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    u32 first = last_head();
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    complete(first, 0);
    KTEST_STATUS(virtqueue_next(fake.vq, &token, &written), HX_OK);
    complete(first, 0);
    KTEST_CALL(expect_broken("completed what it was not given"));
    KTEST_CALL(end());
}

KTEST(virtio, the_middle_of_a_chain_is_no_completion)
{
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    complete(fake.vq->desc[last_head()].next, 0);
    KTEST_CALL(expect_broken("completed what it was not given"));
    KTEST_CALL(end());
}

KTEST(virtio, more_bytes_than_there_were_break_the_queue)
{
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    complete(last_head(), 514);
    KTEST_CALL(expect_broken("claims to have written more than it was given"));
    KTEST_CALL(end());
}

KTEST(virtio, more_completions_than_chains_break_the_queue)
{
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    complete(last_head(), 0);
    fake.vq->used[1] = 0x8000;
    KTEST_CALL(expect_broken("claims more completions than it was given buffers"));
    KTEST_CALL(end());
}

KTEST(virtio, a_reset_mends_a_broken_queue)
{
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    complete(SIZE, 0);
    KTEST_CALL(expect_broken("completed what it was not given"));
    KTEST_STATUS(virtio_negotiate(&fake.vd, 0), HX_OK);
    KTEST_ASSERT(fake.vd.queues[0] == NULL);
    KTEST_STATUS(virtqueue_create(&fake.vd, 0, 256, &fake.vq), HX_OK);
    KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
    KTEST_CALL(end());
}

/* Whatever it writes over the shared rings, the kernel's own lists stand. */
KTEST(virtio, a_scribbled_descriptor_table_changes_nothing)
{
    KTEST_CALL(begin_queue());
    for (u32 i = 0; i < 70000; i++) { /* past the end of the 16-bit index */
        void *token;
        u32 written;
        KTEST_STATUS(virtqueue_add(fake.vq, three, 1, 2, &fake), HX_OK);
        u32 head = last_head();
        memset(fake.vq->desc, (int)i, SIZE * sizeof(struct virtq_desc));
        complete(head, 0);
        KTEST_STATUS(virtqueue_next(fake.vq, &token, &written), HX_OK);
        KTEST_EQUAL(fake.vq->free_count, SIZE);
    }
    KTEST_CALL(end());
}

KTEST(virtio, queues_of_impossible_size_are_refused)
{
    begin(12);
    KTEST_STATUS(virtqueue_create(&fake.vd, 0, 256, &fake.vq), HX_ERR_CORRUPT);
    fake.queue_size = 0;
    KTEST_STATUS(virtqueue_create(&fake.vd, 0, 256, &fake.vq), HX_ERR_NOT_FOUND);
    KTEST_STATUS(virtqueue_create(&fake.vd, 1, 256, &fake.vq), HX_ERR_NOT_FOUND);
    KTEST_STATUS(virtqueue_create(&fake.vd, VIRTIO_QUEUES_MAX, 256, &fake.vq), HX_ERR_NOT_FOUND);
    KTEST_CALL(end());
}

KTEST(virtio, features_are_agreed_on_or_refused)
{
    begin(SIZE);
    fake.offered = VIRTIO_F_VERSION_1 | 0x30;
    KTEST_STATUS(virtio_negotiate(&fake.vd, 0x50), HX_OK);
    KTEST_EQUAL(fake.vd.features, VIRTIO_F_VERSION_1 | 0x10);
    fake.offered = 0x10;
    KTEST_STATUS(virtio_negotiate(&fake.vd, 0x50), HX_ERR_NOT_SUPPORTED);
    fake.vd.legacy = true;
    KTEST_STATUS(virtio_negotiate(&fake.vd, 0x50), HX_OK);
    fake.vd.legacy = false;
    fake.offered = VIRTIO_F_VERSION_1;
    fake.refuses_features = true;
    KTEST_STATUS(virtio_negotiate(&fake.vd, 0), HX_ERR_NOT_SUPPORTED);
    KTEST_CALL(end());
}

KTEST(virtio, a_device_that_does_not_stop_is_named_and_its_rings_are_not_reused)
{
    u8 bytes[4];
    KTEST_CALL(begin_queue());
    KTEST_STATUS(virtio_config_read(&fake.vd, 8, bytes, sizeof(bytes)), HX_OK);
    KTEST_EQUAL(bytes[3], 11);
    KTEST_STATUS(virtio_config_read(&fake.vd, 61, bytes, sizeof(bytes)), HX_ERR_INVALID);
    KTEST_STATUS(virtio_config_read(&fake.vd, UINT32_MAX, bytes, 2), HX_ERR_INVALID);
    KTEST_STATUS(virtio_config_write(&fake.vd, 64, 1), HX_ERR_INVALID);
    fake.stuck_status = 15;
    KTEST_STATUS(virtio_config_read(&fake.vd, 8, bytes, sizeof(bytes)), HX_ERR_BUSY);
    paddr_t rings = fake.vq->dma->bus;
    u32 count = fake.vq->dma->frames;
    KTEST_STATUS(virtio_negotiate(&fake.vd, 0), HX_ERR_TIMED_OUT);
    ledger_reclaim(&fake.vd.dev.ledger);
    KTEST_EQUAL(frame_count_owner(FRAME_DRIVER), fake.frames + count);
    frame_free_run(rings, count);
}

KTEST(virtio, memory_that_runs_out_is_a_status)
{
    begin(SIZE);
    for (u32 n = 1; n < 20; n++) {
        frame_fail_after(n);
        enum hx_status status = virtqueue_create(&fake.vd, 0, 256, &fake.vq);
        frame_fail_after(0);
        KTEST_ASSERT(status == HX_OK || status == HX_ERR_NO_MEMORY);
        KTEST_EQUAL(ledger_count(&fake.vd.dev.ledger), status == HX_OK ? 2 : 0);
        if (status == HX_OK) {
            KTEST_ASSERT(n > 1);
            KTEST_CALL(end());
            return;
        }
    }
    ktest_fail(__FILE__, __LINE__, "never succeeds");
}
