/* SPDX-License-Identifier: MIT */
/* GUID partition tables, as a function of the blocks they lie in. Nothing in them is trusted.
 * Spec: UEFI 2.10, 5.3.
 */
#ifndef FS_GPT_H
#define FS_GPT_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define GPT_PARTITIONS_MAX 128
#define GPT_LABEL_MAX      40 /* bytes of UTF-8, with NUL; what does not fit is cut */

struct gpt_partition {
    u64 first, blocks; /* logical blocks */
    u32 number;        /* 1 and up: the place in the table */
    char label[GPT_LABEL_MAX];
};

struct gpt {
    u32 count;
    bool from_backup;    /* the primary table is damaged */
    const char *problem; /* what is wrong with the primary, or with both; or NULL */
    struct gpt_partition partitions[GPT_PARTITIONS_MAX];
};

/* Reads `count` logical blocks from `block` on. */
typedef enum hx_status gpt_read_fn(void *ctx, u64 block, u32 count, void *buffer);

/* Reads the table of a device of `blocks` logical blocks of block_bytes each (512 to 4096).
 * `scratch` has at least GPT_SCRATCH bytes.
 * Return: HX_OK; HX_ERR_NOT_FOUND (there is none); HX_ERR_CORRUPT (neither copy is whole:
 * out->problem says what is wrong with the first); what reading returned. Context: that of read. */
#define GPT_SCRATCH HX_KIB(20)
enum hx_status gpt_parse(gpt_read_fn *read, void *ctx, u64 blocks, u32 block_bytes, void *scratch,
                         struct gpt *out) HX_MUST_CHECK;

#endif
