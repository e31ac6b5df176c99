/* SPDX-License-Identifier: MIT */
/* Virtio devices: status, features, interrupts, configuration. The queues are in queue.c.
 * Owns:      nothing; a device is its transport's.       Callers: transports, drivers.
 * Context:   thread; the interrupt handler IRQ.          Locks: none: one driver per device.
 * Spec:      VIRTIO 1.2, 3.1 (initialisation), 2.1 (status), 2.5 (configuration), 6 (features).
 */
#include <device/virtio.h>

#include <core/task.h>
#include <core/time.h>
#include <helix/log.h>

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER      2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u

#define RESET_NS     HX_NS_PER_SEC
#define CONFIG_TRIES 16

void virtio_device_add(struct virtio_device *vd)
{
    vd->dev.bus = DEVICE_VIRTIO;
    vd->dev.irq = HX_IRQ_NONE;
    vd->dev.coherent = vd->dev.parent->coherent;
    device_add(&vd->dev);
}

static void status_add(struct virtio_device *vd, u32 bits)
{
    vd->transport->status_write(vd, vd->transport->status_read(vd) | bits);
}

enum hx_status virtio_reset(struct virtio_device *vd)
{
    u64 deadline = time_now_ns() + RESET_NS;
    vd->transport->status_write(vd, 0);
    while (vd->transport->status_read(vd) != 0) {
        if (time_now_ns() > deadline) {
            log_error("virtio", "%s does not end its reset", vd->dev.name);
            return HX_ERR_TIMED_OUT;
        }
        task_yield();
    }
    vd->live = false;
    for (u32 i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        if (vd->queues[i]) {
            virtqueue_destroy(vd->queues[i]);
        }
    }
    return HX_OK;
}

enum hx_status virtio_negotiate(struct virtio_device *vd, u64 wanted)
{
    enum hx_status status = virtio_reset(vd);
    if (status != HX_OK) {
        return status;
    }
    status_add(vd, STATUS_ACKNOWLEDGE);
    status_add(vd, STATUS_DRIVER);
    u64 offered = vd->transport->features_read(vd);
    if (!vd->legacy && !(offered & VIRTIO_F_VERSION_1)) {
        log_warn("virtio", "%s offers no VIRTIO 1 on a transport that has nothing else",
                 vd->dev.name);
        return HX_ERR_NOT_SUPPORTED;
    }
    vd->features = offered & (wanted | (vd->legacy ? 0 : VIRTIO_F_VERSION_1));
    vd->transport->features_write(vd, vd->features);
    if (!vd->legacy) {
        status_add(vd, STATUS_FEATURES_OK);
        if (!(vd->transport->status_read(vd) & STATUS_FEATURES_OK)) {
            log_warn("virtio", "%s refuses features 0x%lx of its own 0x%lx", vd->dev.name,
                     vd->features, offered);
            return HX_ERR_NOT_SUPPORTED;
        }
    }
    return HX_OK;
}

void virtio_start(struct virtio_device *vd)
{
    status_add(vd, STATUS_DRIVER_OK);
}

static bool interrupt(void *ctx, irq_t irq)
{
    struct virtio_device *vd = ctx;
    (void)irq;
    /* A message says that a queue has something; the line says so only when asked. */
    u32 why = vd->irq && vd->irq->kind != DEVICE_IRQ_LINE
                  ? VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG
                  : vd->transport->interrupt(vd);
    void (*notify)(void *, u32) = __atomic_load_n(&vd->notify, __ATOMIC_ACQUIRE);
    if (why && notify) {
        notify(vd->notify_ctx, why);
    }
    return why != 0;
}

enum hx_status virtio_irq_enable(struct virtio_device *vd)
{
    vd->notify = NULL;
    vd->irq = NULL;
    device_enable(&vd->dev);
    return device_irq_request(&vd->dev, interrupt, vd, &vd->irq);
}

/* A handler that is under way has read the one before; it is waited for, so that what it was told
 * with may go. */
void virtio_notify_set(struct virtio_device *vd, void (*notify)(void *ctx, u32 why), void *ctx)
{
    __atomic_store_n(&vd->notify, NULL, __ATOMIC_RELEASE);
    irq_quiesce();
    vd->notify_ctx = ctx;
    __atomic_store_n(&vd->notify, notify, __ATOMIC_RELEASE);
}

enum hx_status virtio_config_read(struct virtio_device *vd, u32 offset, void *out, u32 size)
{
    if (offset > vd->config_size || size > vd->config_size - offset) {
        return HX_ERR_INVALID;
    }
    for (u32 i = 0; i < CONFIG_TRIES; i++) {
        u32 before = vd->transport->config_generation(vd);
        for (u32 at = 0; at < size; at++) {
            ((u8 *)out)[at] = vd->transport->config_read(vd, offset + at);
        }
        if (vd->transport->config_generation(vd) == before) {
            return HX_OK;
        }
    }
    return HX_ERR_BUSY;
}

enum hx_status virtio_config_write(struct virtio_device *vd, u32 offset, u8 value)
{
    if (offset >= vd->config_size) {
        return HX_ERR_INVALID;
    }
    vd->transport->config_write(vd, offset, value);
    return HX_OK;
}
