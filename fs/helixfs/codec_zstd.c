/* SPDX-License-Identifier: MIT */
/* Zstandard frames, through libzstd with static contexts: nothing here allocates.   Context: any.
 */
#include "codec.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include <fs/format.h>

u32 codec_zstd_state_bytes(u32 level)
{
    return (u32)ZSTD_estimateCCtxSize((int)level);
}

u32 codec_zstd_expand_bytes(void)
{
    return (u32)ZSTD_estimateDCtxSize();
}

u32 codec_zstd_compress(void *state, u32 state_bytes, u32 level, const void *src, u32 len,
                        void *dst, u32 room)
{
    ZSTD_CCtx *ctx = ZSTD_initStaticCCtx(state, state_bytes);
    if (ctx == NULL) {
        return 0;
    }
    size_t n = ZSTD_compressCCtx(ctx, dst, room, src, len, (int)level);
    return ZSTD_isError(n) ? 0 : (u32)n;
}

u32 codec_zstd_expand(void *state, u32 state_bytes, const void *src, u32 src_len, void *dst,
                      u32 room)
{
    ZSTD_DCtx *ctx = ZSTD_initStaticDCtx(state, state_bytes);
    size_t n = ctx != NULL ? ZSTD_decompressDCtx(ctx, dst, room, src, src_len) : 0;
    return ctx == NULL || ZSTD_isError(n) ? 0 : (u32)n;
}
