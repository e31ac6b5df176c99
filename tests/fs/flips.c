/* SPDX-License-Identifier: MIT */
/* Single-bit flips of all metadata of an image with at least 1 MiB of it. Every bit of every node
 * goes through the node reader, which must refuse the node; one in a thousand goes through a full
 * mount, whose every answer must be an error or what was stored. A damaged root node makes the
 * mount fall back to the generation before, which is a prefix: then the last files may be missing.
 *
 *   flips [--ops STRIDE]      every STRIDE-th bit; 1: all of them
 */
#include "setup.h"

#include "hfs_priv.h"

#define FILES     2400u
#define NODES_MAX 512u
#define MOUNT_ONE 1000u /* of so many flips one goes through a mount */

static struct {
    struct sim sim;
    struct {
        struct hfs_bptr ptr;
        struct node_expect expect;
        bool of_subvol;
    } nodes[NODES_MAX];
    u32 count;
    u64 txg; /* the newest */
    bool older;
    u64 flips, mounts, missed, wrong;
} test;

/* What file number `i` holds: short enough to live in the tree. */
static size_t content_of(u32 i, u8 *out)
{
    u64 rng = i + 1;
    size_t len = 200 + i % 300;
    for (size_t at = 0; at < len; at++) {
        out[at] = (u8)rng_next(&rng);
    }
    return len;
}

static struct hfs_name name_of(u32 i, char text[16])
{
    sprintf(text, "file%u", i);
    return (struct hfs_name){text, strlen(text)};
}

static enum hx_status fill(struct hfs_inode *root)
{
    char text[16];
    u8 data[512];
    for (u32 i = 0; i < FILES; i++) {
        struct hfs_inode *inode;
        size_t done, len = content_of(i, data);
        enum hx_status status = hfs_create(root, name_of(i, text), HFS_IFREG | 0644,
                                           (struct hfs_owner){0}, 0, (struct hfs_name){0}, &inode);
        if (status != HX_OK) {
            return status;
        }
        status = hfs_write(inode, 0, data, len, &done);
        hfs_inode_put(inode);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status with_root(struct hfs *fs, enum hx_status (*work)(struct hfs_inode *root))
{
    struct hfs_subvol *sv;
    struct hfs_inode *root;
    enum hx_status status = hfs_subvol_open(fs, "main", &sv);
    if (status != HX_OK) {
        return status;
    }
    status = hfs_root(sv, &root);
    if (status == HX_OK) {
        status = work(root);
        hfs_inode_put(root);
    }
    hfs_subvol_put(sv);
    return status;
}

/* Reads all files. HX_OK: all is as it was; HX_ERR_INVALID: an answer was wrong; else an error. */
static enum hx_status compare(struct hfs_inode *root)
{
    char text[16];
    u8 want[512], got[512];
    enum hx_status first = HX_OK;
    bool ended = false; /* of an older generation: no file of these and later ones */
    for (u32 i = 0; i < FILES; i += 7) {
        struct hfs_inode *inode;
        size_t done = 0, len = content_of(i, want);
        enum hx_status status = hfs_lookup(root, name_of(i, text), &inode);
        if (status == HX_OK) {
            status = hfs_read(inode, 0, got, sizeof(got), &done);
            hfs_inode_put(inode);
            if (ended || (status == HX_OK && (done != len || memcmp(got, want, len) != 0))) {
                return HX_ERR_INVALID;
            }
        } else if (status == HX_ERR_NOT_FOUND && test.older) {
            ended = true;
            status = HX_OK;
        } else if (status == HX_ERR_NOT_FOUND) {
            return HX_ERR_INVALID; /* a file that is there is not "not found" */
        }
        first = first != HX_OK ? first : status;
    }
    return first;
}

static void collect(struct hfs *fs, struct hfs_subvol *sv, const struct node_expect *expect)
{
    static u8 levels[8][HFS_NODE];
    u8 *bytes = levels[expect->level];
    HX_ASSERT(test.count < NODES_MAX && node_read(fs, sv, expect, bytes) == HX_OK);
    u32 me = test.count++;
    test.nodes[me].ptr = *expect->ptr;
    test.nodes[me].expect = *expect;
    test.nodes[me].of_subvol = sv != NULL;
    const struct hfs_node_head *head = (const void *)bytes;
    const struct hfs_child *children = (const void *)(bytes + sizeof(*head));
    for (u32 i = 0; head->level > 0 && i < head->count; i++) {
        struct node_expect child = {.ptr = &children[i].ptr,
                                    .level = expect->level - 1,
                                    .low = children[i].key,
                                    .high =
                                        i + 1u < head->count ? children[i + 1].key : expect->high};
        collect(fs, sv, &child);
    }
}

static void collect_tree(const struct hfs_tree *tree)
{
    if (tree->levels > 0) {
        struct node_expect expect = {
            .ptr = &tree->root, .level = tree->levels - 1, .high = hfs_key_max};
        collect(tree->fs, tree->sv, &expect);
    }
}

static void flip(u64 addr, u32 bit)
{
    test.sim.data[addr * BDEV_BLOCK + bit / 8] ^= (u8)(1u << bit % 8);
}

static void through_a_mount(u64 addr, u32 bit)
{
    static u8 before[HFS_NODE];
    struct hfs *fs;
    struct hfs_mount_opts opts = {.flags = HFS_MOUNT_RDONLY, .cache_bytes = HX_MIB(1)};
    memcpy(before, test.sim.data + addr * BDEV_BLOCK, HFS_NODE);
    flip(addr, bit);
    test.mounts++;
    if (hfs_mount(&test.sim.dev, &opts, &fs) == HX_OK) {
        test.older = fs->uber->txg < test.txg;
        test.wrong += with_root(fs, compare) == HX_ERR_INVALID;
        HX_IGNORE(hfs_unmount(fs), "nothing was to be written");
    }
    memcpy(test.sim.data + addr * BDEV_BLOCK, before, HFS_NODE);
}

int main(int argc, char **argv)
{
    struct args args = {.ops = 97};
    if (!args_parse(argc, argv, &args) || args.ops == 0) {
        return 2;
    }
    hostport_log_level(LOG_PANIC);
    hostport_seed(1);
    sim_init(&test.sim, 8192);
    struct hfs *fs;
    struct hfs_mkfs_opts mkfs = {.copies = 1};
    struct hfs_mount_opts opts = {.cache_bytes = HX_MIB(4)};
    enum hx_status status = hfs_mkfs(&test.sim.dev, &mkfs);
    if (status != HX_OK || (status = hfs_mount(&test.sim.dev, &opts, &fs)) != HX_OK ||
        (status = with_root(fs, fill)) != HX_OK || (status = hfs_unmount(fs)) != HX_OK) {
        fprintf(stderr, "flips: no image: %s\n", hx_status_name(status));
        return 1;
    }
    opts.flags = HFS_MOUNT_RDONLY;
    struct hfs_subvol *sv;
    if (hfs_mount(&test.sim.dev, &opts, &fs) != HX_OK ||
        hfs_subvol_open(fs, "main", &sv) != HX_OK || with_root(fs, compare) != HX_OK) {
        fprintf(stderr, "flips: the image does not read back\n");
        return 1;
    }
    test.txg = fs->uber->txg;
    collect_tree(&fs->root);
    collect_tree(&sv->tree);
    if (test.count * HFS_NODE < HX_MIB(1)) {
        fprintf(stderr, "flips: only %u nodes\n", test.count);
        return 1;
    }
    static u8 bytes[HFS_NODE];
    u32 start = 0;
    for (u32 n = 0; n < test.count; n++) {
        u64 addr = test.nodes[n].ptr.addr;
        struct node_expect expect = test.nodes[n].expect;
        expect.ptr = &test.nodes[n].ptr;
        for (u32 bit = start; bit < HFS_NODE * 8; bit += (u32)args.ops) {
            flip(addr, bit);
            test.missed += node_copy_read(fs, test.nodes[n].of_subvol ? sv : NULL, addr, &expect,
                                          bytes) == HX_OK;
            flip(addr, bit);
            if (++test.flips % MOUNT_ONE == 0) {
                through_a_mount(addr, bit);
            }
        }
        start = (start + 31) % (u32)args.ops;
    }
    hfs_subvol_put(sv);
    HX_IGNORE(hfs_unmount(fs), "nothing was to be written");
    printf("flips: %u nodes, %llu bits flipped, %llu unnoticed; %llu mounts, %llu wrong answers\n",
           test.count, (unsigned long long)test.flips, (unsigned long long)test.missed,
           (unsigned long long)test.mounts, (unsigned long long)test.wrong);
    sim_fini(&test.sim);
    return test.missed + test.wrong > 0;
}
