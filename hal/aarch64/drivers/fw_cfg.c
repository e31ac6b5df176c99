/* SPDX-License-Identifier: MIT */
/* QEMU's fw_cfg by its memory-mapped registers: named files that the host hands over.
 * Owns:      the registers and with them the device's one read position.
 * Callers:   core through hal_firmware.blob_read.     Context: thread or early; one caller at a
 * time. Locks:     none.     Trust: none; every count and size is bounded by what the caller gave.
 * The data register gives bytes in order at any width, so files are read eight bytes at a time. The
 * DMA interface was rejected: it needs physically contiguous memory and saves nothing that counts.
 * Spec:      QEMU docs/specs/fw_cfg; binding qemu,fw-cfg-mmio. */
#include "driver_priv.h"

#include <helix/bits.h>
#include <helix/string.h>

#define FW_CFG_DATA     0x0
#define FW_CFG_SELECTOR 0x8
#define KEY_SIGNATURE   0x0000
#define KEY_DIRECTORY   0x0019
#define DIRECTORY_MAX   4096
#define NAME_SIZE       56

struct directory_entry {
    u8 size[4]; /* big-endian, all of them */
    u8 key[2];
    u8 reserved[2];
    char name[NAME_SIZE];
};

_Static_assert(sizeof(struct directory_entry) == 64, "the device's layout");

static struct {
    vaddr_t base; /* 0: there is none */
} fw_cfg;

static void item_select(u16 key)
{
    hal_mmio_write16(fw_cfg.base + FW_CFG_SELECTOR, __builtin_bswap16(key));
}

static void item_read(void *buf, size_t size)
{
    u8 *at = buf;
    for (; size >= 8; size -= 8, at += 8) {
        u64 value = hal_mmio_read64(fw_cfg.base + FW_CFG_DATA);
        memcpy(at, &value, sizeof(value));
    }
    for (; size > 0; size--) {
        *at++ = hal_mmio_read8(fw_cfg.base + FW_CFG_DATA);
    }
}

enum hx_status fw_cfg_read(const char *name, void *buf, size_t size, size_t *out_size)
{
    u8 count[4];
    if (fw_cfg.base == 0) {
        return HX_ERR_NOT_FOUND;
    }
    item_select(KEY_DIRECTORY);
    item_read(count, sizeof(count));
    for (u32 left = (u32)hx_min_u64(hx_load_be32(count), DIRECTORY_MAX); left > 0; left--) {
        struct directory_entry entry;
        item_read(&entry, sizeof(entry));
        if (strnlen(entry.name, NAME_SIZE) < NAME_SIZE && str_equal(entry.name, name)) {
            size_t length = hx_load_be32(entry.size);
            item_select((u16)(entry.key[0] << 8 | entry.key[1]));
            item_read(buf, hx_min_u64(size, length));
            *out_size = length;
            return HX_OK;
        }
    }
    return HX_ERR_NOT_FOUND;
}

static enum hx_status fw_cfg_attach(const struct port_device *device, vaddr_t registers)
{
    u8 signature[4];
    if (device->reg_count < 1 || device->regs[0].size < FW_CFG_SELECTOR + 2) {
        return HX_ERR_INVALID;
    }
    fw_cfg.base = registers;
    item_select(KEY_SIGNATURE);
    item_read(signature, sizeof(signature));
    if (memcmp(signature, "QEMU", sizeof(signature)) != 0) {
        fw_cfg.base = 0;
        return HX_ERR_IO;
    }
    return HX_OK;
}

const struct port_driver fw_cfg_driver = {
    .name = "fw_cfg",
    .compatible = {"qemu,fw-cfg-mmio"},
    .class = DRIVER_FIRMWARE,
    .attach = fw_cfg_attach,
};
