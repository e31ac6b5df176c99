/* SPDX-License-Identifier: MIT */
/* What codec.c asks of each library; one file for each knows its header. */
#ifndef HFS_CODEC_H
#define HFS_CODEC_H

#include <helix/types.h>

u32 codec_lz4_state_bytes(void);
/* Return: bytes of dst used, 0 when room does not suffice. */
u32 codec_lz4_compress(void *state, const void *src, u32 len, void *dst, u32 room);
/* Return: bytes of dst written, 0 when src is damaged or more than room comes out. */
u32 codec_lz4_expand(const void *src, u32 src_len, void *dst, u32 room);

u32 codec_zstd_state_bytes(u32 level);
u32 codec_zstd_expand_bytes(void);
u32 codec_zstd_compress(void *state, u32 state_bytes, u32 level, const void *src, u32 len,
                        void *dst, u32 room);
u32 codec_zstd_expand(void *state, u32 state_bytes, const void *src, u32 src_len, void *dst,
                      u32 room);

#endif
