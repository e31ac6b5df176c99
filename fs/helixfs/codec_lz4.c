/* SPDX-License-Identifier: MIT */
/* LZ4 blocks, through liblz4. State is the caller's: nothing here allocates.    Context: any. */
#include "codec.h"

#include <lz4.h>

u32 codec_lz4_state_bytes(void)
{
    return (u32)LZ4_sizeofState();
}

u32 codec_lz4_compress(void *state, const void *src, u32 len, void *dst, u32 room)
{
    int n = LZ4_compress_fast_extState(state, src, dst, (int)len, (int)room, 1);
    return n > 0 ? (u32)n : 0;
}

u32 codec_lz4_expand(const void *src, u32 src_len, void *dst, u32 room)
{
    int n = LZ4_decompress_safe(src, dst, (int)src_len, (int)room);
    return n > 0 ? (u32)n : 0;
}
