/* SPDX-License-Identifier: MIT */
/* QEMU's firmware configuration device: named files that the host hands over.
 * Owns:      ports 0x510, 0x511.      Context: early or thread.
 * Spec:      QEMU docs/specs/fw_cfg: selector register, byte-wise data register, file directory of
 *            big-endian entries { u32 size, u16 select, u16 reserved, char name[56] }.
 */
#include <port/pc.h>

#include <helix/bits.h>
#include <helix/string.h>
#include <port/x86.h>

#define SELECTOR      0x510
#define DATA          0x511
#define KEY_SIGNATURE 0x0000
#define KEY_DIRECTORY 0x0019
#define NAME_SIZE     56
#define FILES_MAX     4096

static void read_bytes(void *buf, size_t n)
{
    u8 *bytes = buf;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = io_read8(DATA);
    }
}

static bool is_present(void)
{
    char signature[4];
    io_write16(SELECTOR, KEY_SIGNATURE);
    read_bytes(signature, sizeof(signature));
    return memcmp(signature, "QEMU", 4) == 0;
}

enum hx_status fw_cfg_read(const char *name, void *buf, size_t size, size_t *out_size)
{
    struct {
        u8 size[4], select[2], reserved[2];
        char name[NAME_SIZE];
    } file;
    u8 count[4];
    if (!is_present()) {
        return HX_ERR_NOT_FOUND;
    }
    io_write16(SELECTOR, KEY_DIRECTORY);
    read_bytes(count, sizeof(count));
    u32 files = hx_load_be32(count);
    for (u32 i = 0; i < files && i < FILES_MAX; i++) {
        read_bytes(&file, sizeof(file));
        if (strnlen(file.name, NAME_SIZE) < NAME_SIZE && str_equal(file.name, name)) {
            u32 length = hx_load_be32(file.size);
            io_write16(SELECTOR, (u16)(file.select[0] << 8 | file.select[1]));
            read_bytes(buf, hx_min_u64(size, length));
            *out_size = length;
            return HX_OK;
        }
    }
    return HX_ERR_NOT_FOUND;
}
