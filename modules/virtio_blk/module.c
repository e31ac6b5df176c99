/* SPDX-License-Identifier: MIT */
/* The data half of the virtio disk driver as a module: virtio_blk, and virtio_blk2, which also
 * keeps totals. The kernel's driver has the device; the block layer is asked by the disk's address,
 * since that is how it answers modules. Queues are handled by subsystems/device/virtio/queue.c,
 * which is a part of the module: what goes wrong there is the module's fault.
 */
#include <helix/module.h>
#include <helix/string.h>
#include "virtio_blk_priv.h"

static struct module *self;

void block_command_complete(struct block_command *command, enum hx_status status)
{
    block_port_complete(command->disk, command->index, status);
}

void block_disk_fault(struct block_disk *disk, const char *why)
{
    (void)why; /* the queue has said it in the log */
    block_port_fault(disk);
}

struct block_command *block_disk_command(struct block_disk *disk, u32 index)
{
    return block_port_command(disk, index);
}

static enum hx_status blk_adopt(struct block_disk *disk, void *hardware, void **out_driver)
{
    struct virtio_blk *blk = module_alloc(self, sizeof(*blk));
    if (!blk) {
        return HX_ERR_NO_MEMORY;
    }
    blk->vd = hardware;
    blk->disk = disk;
    *out_driver = blk;
    return HX_OK;
}

static void blk_release(void *driver)
{
    module_free(self, driver);
}

#if VIRTIO_BLK_STATE == 2
/* Version 2 begins like version 1; totals begin at 0, or are forgotten. */
static enum hx_status blk_convert(void *data, u32 *size, u32 from, u32 to)
{
    const u32 sizes[] = {0, offsetof(struct virtio_blk_state, done),
                         sizeof(struct virtio_blk_state)};
    struct virtio_blk_state state = {.done = 0};
    if (from < 1 || from > 2 || to < 1 || to > 2) {
        return HX_ERR_ABI;
    }
    if (*size != sizes[from]) {
        return HX_ERR_CORRUPT;
    }
    memcpy(&state, data, sizes[from]);
    if (state.version != from || state.size != sizes[from]) {
        return HX_ERR_CORRUPT;
    }
    state.version = to;
    state.size = sizes[to];
    memcpy(data, &state, sizes[to]);
    *size = sizes[to];
    return HX_OK;
}
#else
#define blk_convert NULL
#endif

static const struct block_port_ops table = {
    .abi_version = BLOCK_PORT_ABI,
    .size = sizeof(table),
    .hardware = "virtio-blk",
    .state_version = VIRTIO_BLK_STATE,
    .adopt = blk_adopt,
    .release = blk_release,
    .submit = blk_submit,
    .kick = blk_kick,
    .poll = blk_poll,
    .save_state = blk_save_state,
    .restore_state = blk_restore_state,
    .convert = blk_convert,
};

static enum hx_status blk_init(struct module *module)
{
    self = module;
    return HX_OK;
}

MODULE(virtio_blk, .version = {VIRTIO_BLK_STATE, 0, 0}, .summary = "block driver: virtio disks",
       .provides = {{"block.driver", BLOCK_PORT_ABI, 0}},
       .capabilities = MODULE_CAP_BLOCK | MODULE_CAP_DEVICE);
MODULE_CODE(virtio_blk, .interfaces = {&table}, .ops = {.init = blk_init});
