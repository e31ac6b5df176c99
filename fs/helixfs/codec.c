/* SPDX-License-Identifier: MIT */
/* Compression of one sealed extent.
 * Owns:      the libraries' working memory, in hfs.codec.      Callers: file.c, mount.c.
 * Context:   thread, under hfs.lock.
 * Invariant: (1) working memory for what the file system uses is there from mount on, so that
 *            neither reading nor writing fails for lack of it.  (2) what is stored expands to
 * exactly the length that its extent declares, never more: there are no bombs.
 */
#include "codec.h"
#include "hfs_priv.h"

#define ZSTD_LEVEL_MAX 3u

struct hfs_codec {
    u8 *compress, *expand; /* NULL: not needed by this file system */
    u32 compress_bytes, expand_bytes;
};

enum hx_status codec_init(struct hfs *fs)
{
    struct hfs_codec *codec = os_alloc(sizeof(*codec));
    fs->codec = codec;
    if (codec == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    *codec = (struct hfs_codec){0};
    if ((fs->super.incompat & (HFS_INCOMPAT_LZ4 | HFS_INCOMPAT_ZSTD)) == 0) {
        return HX_OK;
    }
    codec->compress_bytes = codec_lz4_state_bytes();
    if ((fs->super.incompat & HFS_INCOMPAT_ZSTD) != 0) {
        codec->expand_bytes = codec_zstd_expand_bytes();
        for (u32 level = 1; level <= ZSTD_LEVEL_MAX; level++) {
            codec->compress_bytes =
                (u32)hx_max_u64(codec->compress_bytes, codec_zstd_state_bytes(level));
        }
        codec->expand = os_alloc(codec->expand_bytes);
    }
    codec->compress = os_alloc(codec->compress_bytes);
    bool good = codec->compress != NULL && (codec->expand_bytes == 0 || codec->expand != NULL);
    return good ? HX_OK : HX_ERR_NO_MEMORY;
}

void codec_fini(struct hfs *fs)
{
    if (fs->codec != NULL) {
        os_free(fs->codec->compress);
        os_free(fs->codec->expand);
        os_free(fs->codec);
        fs->codec = NULL;
    }
}

void codec_compress(struct hfs *fs, u32 alg, u32 level, const void *src, u32 len, void *dst,
                    u32 room, u32 *out_len)
{
    struct hfs_codec *codec = fs->codec;
    *out_len = 0;
    if (codec->compress == NULL) {
        return;
    }
    if (alg == HFS_ALG_LZ4) {
        *out_len = codec_lz4_compress(codec->compress, src, len, dst, room);
    } else if (alg == HFS_ALG_ZSTD && codec->expand != NULL) {
        *out_len =
            codec_zstd_compress(codec->compress, codec->compress_bytes, level, src, len, dst, room);
    }
}

enum hx_status codec_expand(struct hfs *fs, u32 alg, const void *src, u32 src_len, void *dst,
                            u32 len)
{
    struct hfs_codec *codec = fs->codec;
    if (alg == HFS_ALG_NONE) {
        if (src_len != len) {
            return HX_ERR_CORRUPT;
        }
        memcpy(dst, src, len);
        return HX_OK;
    }
    u32 got = 0;
    if (alg == HFS_ALG_LZ4) {
        got = codec_lz4_expand(src, src_len, dst, len);
    } else if (alg == HFS_ALG_ZSTD && codec->expand != NULL) {
        got = codec_zstd_expand(codec->expand, codec->expand_bytes, src, src_len, dst, len);
    }
    return got == len ? HX_OK : HX_ERR_CORRUPT;
}
