/* SPDX-License-Identifier: MIT */
/* Virtio devices, whatever they hang on. A transport (PCI, MMIO) finds one and adds it to the list
 * of devices on the bus DEVICE_VIRTIO; its driver negotiates features and exchanges buffers with it
 * through split virtqueues. The device is not trusted: what it writes to a ring is checked against
 * what the kernel keeps beside the ring.
 * Context unless said otherwise: thread, may block. One caller at a time for one device.
 * Spec: Virtual I/O Device (VIRTIO) 1.2.
 */
#ifndef DEVICE_VIRTIO_H
#define DEVICE_VIRTIO_H

#include <device/device.h>

#define VIRTIO_NET   1
#define VIRTIO_BLOCK 2
#define VIRTIO_RNG   4

#define VIRTIO_F_VERSION_1 (1ull << 32)

#define VIRTIO_QUEUES_MAX     4
#define VIRTIO_QUEUE_SIZE_MAX 256

struct virtio_device;
struct virtqueue;

/* A stretch of memory for the device: what it reads comes first, what it writes last. */
struct virtio_buffer {
    paddr_t address;
    u32 size;
};

/* How to reach the device. Each entry is mandatory. */
struct virtio_transport {
    const char *name;
    u32 (*status_read)(struct virtio_device *vd);
    void (*status_write)(struct virtio_device *vd, u32 status);
    u64 (*features_read)(struct virtio_device *vd);
    void (*features_write)(struct virtio_device *vd, u64 features);
    u32 (*queue_size)(struct virtio_device *vd, u32 index); /* 0: no such queue */
    enum hx_status (*queue_start)(struct virtio_device *vd, struct virtqueue *vq);
    void (*notify)(struct virtqueue *vq);       /* any context */
    u32 (*interrupt)(struct virtio_device *vd); /* why it interrupted; acknowledges. IRQ */
    u32 (*config_generation)(struct virtio_device *vd);
    u8 (*config_read)(struct virtio_device *vd, u32 offset);
    void (*config_write)(struct virtio_device *vd, u32 offset, u8 value);
};

#define VIRTIO_INTERRUPT_QUEUE  1u
#define VIRTIO_INTERRUPT_CONFIG 2u

struct virtio_device {
    struct device dev; /* .id is the type */
    const struct virtio_transport *transport;
    u64 features;    /* negotiated */
    bool legacy;     /* before 1.0: no FEATURES_OK, rings where QueuePFN says */
    bool live;       /* a queue was started since the last reset */
    u32 config_size; /* bytes of configuration space that may be read */
    struct virtqueue *queues[VIRTIO_QUEUES_MAX];
    struct device_irq *irq;
    struct device_dma *memory;          /* the driver's, where a successor finds it */
    void (*notify)(void *ctx, u32 why); /* IRQ context */
    void *notify_ctx;
    /* The transport's. */
    vaddr_t common, isr, notify_base, config;
    u64 notify_size;
    u32 notify_multiplier;
};

/* A split virtqueue. `ring` parts are shared with the device; all else is the kernel's alone. */
struct virtqueue {
    struct ledger_entry entry;
    struct virtio_device *vd;
    struct device_dma *dma;
    u32 index, size;
    struct virtq_desc *desc;
    u16 *avail, *used; /* flags, index, then the ring */
    vaddr_t doorbell;  /* the transport's */
    paddr_t desc_bus, avail_bus, used_bus;
    u32 free_head, free_count;
    u16 avail_index, used_index;
    const char *broken; /* why it is not used any more, or NULL */
    struct virtq_slot {
        void *token;  /* of a chain that begins here and is the device's; NULL */
        u32 writable; /* bytes that the device may write */
        u16 length;   /* descriptors of the chain */
        u16 next;     /* the next of the chain, or of the free list */
    } slots[];
};

struct virtq_desc {
    u64 address;
    u32 size;
    u16 flags, next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "VIRTIO 2.7.5");

/* For transports: adds a device of which transport, type, parent, name and access are filled in. */
void virtio_device_add(struct virtio_device *vd);

/* Resets the device and agrees on features: those of `wanted` that it offers. It knows the driver
 * then, and works once virtio_start() is called. Return: HX_OK; HX_ERR_NOT_SUPPORTED (it takes
 * none of the versions or refuses the set); HX_ERR_TIMED_OUT (the reset does not end). */
enum hx_status virtio_negotiate(struct virtio_device *vd, u64 wanted) HX_MUST_CHECK;
void virtio_start(struct virtio_device *vd);

static inline bool virtio_has(const struct virtio_device *vd, u64 feature)
{
    return (vd->features & feature) != 0;
}

/* Stops the device: when it returns HX_OK, it uses no memory and no queue; its queues are empty and
 * forgotten. HX_ERR_TIMED_OUT: it does not say that it stopped. */
enum hx_status virtio_reset(struct virtio_device *vd) HX_MUST_CHECK;

/* Asks for its interrupt, before queues are made. What it says is lost until somebody is named that
 * is to hear it. Return: as device_irq_request(). */
enum hx_status virtio_irq_enable(struct virtio_device *vd) HX_MUST_CHECK;

/* notify: IRQ context, boot CPU; the kernel proper's, since it outlives the driver. NULL: nobody.
 */
void virtio_notify_set(struct virtio_device *vd, void (*notify)(void *ctx, u32 why), void *ctx);

/* Configuration space, bytes as they lie there (little-endian). Read consistently: again, while the
 * device changes it. Return: HX_OK; HX_ERR_INVALID (beyond it); HX_ERR_BUSY (it does not settle).
 */
enum hx_status virtio_config_read(struct virtio_device *vd, u32 offset, void *out,
                                  u32 size) HX_MUST_CHECK;
enum hx_status virtio_config_write(struct virtio_device *vd, u32 offset, u8 value) HX_MUST_CHECK;

/* Queue `index` with at most `wanted` entries, stands on the device's ledger; gone with
 * virtio_reset() or with the driver. Return: HX_OK; HX_ERR_NOT_FOUND (no such queue);
 * HX_ERR_EXISTS; HX_ERR_CORRUPT (a size that is none); HX_ERR_NO_MEMORY; what the transport
 * returned. */
enum hx_status virtqueue_create(struct virtio_device *vd, u32 index, u32 wanted,
                                struct virtqueue **out) HX_MUST_CHECK;
void virtqueue_destroy(struct virtqueue *vq); /* the device has been reset */

/* Gives a chain of buffers to the device, which learns of it with virtqueue_kick(). token: not
 * NULL. Context of this and the next two: any; one caller at a time for one queue. Return: HX_OK;
 * HX_ERR_BUSY (the queue is full now); HX_ERR_INVALID (more buffers than it ever takes, or none);
 * HX_ERR_IO (it is broken). */
enum hx_status virtqueue_add(struct virtqueue *vq, const struct virtio_buffer *buffers,
                             u32 readable, u32 writable, void *token) HX_MUST_CHECK;
void virtqueue_kick(struct virtqueue *vq);

/* The next chain that the device is done with, and how many bytes it says it wrote, which is at
 * most what it was given to write. Return: HX_OK; HX_ERR_END (none now); HX_ERR_CORRUPT (the device
 * answered what it was not asked: vq->broken says what, and the queue is not used until a reset).
 */
enum hx_status virtqueue_next(struct virtqueue *vq, void **out_token,
                              u32 *out_written) HX_MUST_CHECK;

/* True when virtqueue_next() would find something. */
static inline bool virtqueue_has_next(const struct virtqueue *vq)
{
    return __atomic_load_n(&vq->used[1], __ATOMIC_ACQUIRE) != vq->used_index;
}

#endif
