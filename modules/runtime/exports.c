/* SPDX-License-Identifier: MIT */
/* The table of what modules may call.
 * Owns:      the table.      Caller: loader.c.      Context: any.
 */
#include "exports_priv.h"
#include "runtime_priv.h"

#include <export_crc.h>
#include <helix/string.h>

static const struct {
    const char *name;
    const void *address;
    u32 crc, capabilities;
} exports[] = {
#define EXPORT(capabilities_, name_) {#name_, &(name_), HX_CRC_##name_, capabilities_},
#include "exports.def"
#undef EXPORT
};

enum hx_status export_resolve(void *ctx, const char *name, u32 crc, u64 *out_address)
{
    const u32 *capabilities = ctx;
    for (u32 i = 0; i < HX_ARRAY_SIZE(exports); i++) {
        if (!str_equal(exports[i].name, name)) {
            continue;
        }
        if (exports[i].crc != crc) {
            return HX_ERR_ABI;
        }
        if (exports[i].capabilities & ~*capabilities) {
            return HX_ERR_ACCESS;
        }
        *out_address = (vaddr_t)exports[i].address;
        return HX_OK;
    }
    return HX_ERR_NOT_FOUND;
}
