/* SPDX-License-Identifier: MIT */
/* Virtio entropy device: at attach, one buffer of it is stirred into the kernel's generator.
 * Owns:      the queue while it attaches.      Caller: device.c.      Context: thread; may block.
 * The device is let go again at once, but stays bound: nothing of it is needed afterwards.
 * Spec:      VIRTIO 1.2, 5.4.
 */
#include <device/virtio.h>

#include <core/random.h>
#include <core/task.h>
#include <core/time.h>
#include <helix/log.h>

#define WANTED    64 /* bytes */
#define ANSWER_NS HX_NS_PER_SEC

/* Without an interrupt: it is asked once, at boot. */
static enum hx_status ask(struct virtqueue *vq, struct device_dma *dma)
{
    struct virtio_buffer buffer = {.address = dma->bus, .size = WANTED};
    void *token;
    u32 written;
    enum hx_status status = virtqueue_add(vq, &buffer, 0, 1, dma);
    if (status != HX_OK) {
        return status;
    }
    virtqueue_kick(vq);
    u64 deadline = time_now_ns() + ANSWER_NS;
    while ((status = virtqueue_next(vq, &token, &written)) == HX_ERR_END) {
        if (time_now_ns() > deadline) {
            return HX_ERR_TIMED_OUT;
        }
        task_yield();
    }
    if (status == HX_OK) {
        random_add(dma->cpu, written);
        log_info("random", "%u bytes from %s", written, vq->vd->dev.name);
    }
    return status;
}

static enum hx_status rng_attach(struct device *dev)
{
    struct virtio_device *vd = HX_CONTAINER_OF(dev, struct virtio_device, dev);
    struct device_dma *dma;
    struct virtqueue *vq;
    device_enable(dev);
    enum hx_status status = virtio_negotiate(vd, 0);
    if (status == HX_OK) {
        status = device_dma_alloc(dev, WANTED, &dma);
    }
    if (status != HX_OK) {
        return status;
    }
    status = virtqueue_create(vd, 0, 4, &vq);
    if (status == HX_OK) {
        virtio_start(vd);
        status = ask(vq, dma);
        enum hx_status reset = virtio_reset(vd);
        status = status == HX_OK ? reset : status;
    }
    if (status == HX_OK) {
        device_dma_free(dma); /* otherwise it goes with the ledger, once the bus is quiet */
    }
    return status;
}

static void rng_detach(struct device *dev)
{
    (void)dev; /* it has been quiet since it was attached */
}

static const struct device_match matches[] = {{.bus = DEVICE_VIRTIO, .id = VIRTIO_RNG}};

static const struct device_driver virtio_rng_driver = {
    .abi_version = DEVICE_DRIVER_ABI,
    .size = sizeof(struct device_driver),
    .name = "virtio-rng",
    .matches = matches,
    .match_count = HX_ARRAY_SIZE(matches),
    .attach = rng_attach,
    .detach = rng_detach,
};
HX_SET_ADD(device_drivers, virtio_rng_driver);
