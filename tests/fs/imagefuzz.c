/* SPDX-License-Identifier: MIT */
/* Image fuzzer: damages metadata, repairs the checksums above the damage so that it gets past them,
 * and mounts, walks, changes and checks the result. Nothing may crash, hang or read outside its
 * memory; what the answers are does not matter. Also flips single bits without repairing: each flip
 * must be noticed by the node reader or lie outside every node.
 *
 *   imagefuzz [--seed N] [--seeds IMAGES] [--ops MUTATIONS] [--seconds S]
 */
#include "setup.h"

#include "hfs_priv.h"

struct base {
    struct image image;
    struct work w;
    u8 *good;
    size_t bytes;
    u64 nodes[512]; /* addresses of first copies, with birth at most the root's */
    u32 node_count;
};

static bool base_make(struct base *b, u64 seed)
{
    work_init(&b->w, seed);
    b->w.with_snapshots = true;
    bool good = image_make(&b->image, seed, &b->w) && image_mount(&b->image, &b->w);
    for (u32 i = 0; i < 300 && good; i++) {
        good = work_step(&b->w);
    }
    work_detach(&b->w);
    good = hfs_unmount(b->w.fs) == HX_OK && good;
    b->w.fs = NULL;
    b->bytes = b->image.sim.dev.blocks * (size_t)BDEV_BLOCK;
    b->good = malloc(b->bytes);
    memcpy(b->good, b->image.sim.data, b->bytes);
    return good;
}

/* Recomputes what a parent says about its children, from the given root down, as if the damage had
 * been written on purpose. Bounded: the damaged tree may point in circles. */
static void resign(struct sim *sim, struct hfs_bptr *ptr, u32 levels, u32 *budget)
{
    u64 blocks = sim->dev.blocks;
    if (*budget == 0 || ptr->addr == 0 || ptr->addr + HFS_NODE_BLOCKS > blocks || levels == 0) {
        return;
    }
    --*budget;
    u8 *node = sim->data + ptr->addr * BDEV_BLOCK;
    struct hfs_node_head *head = (void *)node;
    struct hfs_child *children = (void *)(node + sizeof(*head));
    for (u32 i = 0; levels > 1 && i < head->count && i < 254; i++) {
        resign(sim, &children[i].ptr, levels - 1, budget);
    }
    struct hfs_item *items = (void *)(node + sizeof(*head));
    for (u32 i = 0; levels == 1 && head->tree == 0 && i < head->count && i < 500; i++) {
        if (items[i].key.kind == HFS_ROOT_SUBVOL && items[i].len == sizeof(struct hfs_dsubvol) &&
            items[i].off + sizeof(struct hfs_dsubvol) <= HFS_NODE) {
            struct hfs_dsubvol *d = (void *)(node + items[i].off);
            if ((d->flags & HFS_SV_ENCRYPTED) == 0 && d->levels <= HFS_LEVELS_MAX) {
                resign(sim, &d->root, d->levels, budget);
            }
        }
    }
    if ((head->flags & HFS_NODE_ENCRYPTED) == 0) {
        head->crc = 0;
        head->crc = os_crc32c(0, node, HFS_NODE);
        node_csum(node, ptr->csum);
    }
}

static void resign_root(struct sim *sim, u64 place)
{
    u32 budget = 600;
    struct hfs_uber *uber = (void *)(sim->data + place * BDEV_BLOCK);
    resign(sim, &uber->root, uber->root_levels, &budget);
    uber_seal(uber);
}

static u64 newest_root(struct sim *sim, u64 label)
{
    u64 best = 0, at = label + 1;
    for (u32 i = 0; i < HFS_RING; i++) {
        const struct hfs_uber *uber = (void *)(sim->data + (label + 1 + i) * BDEV_BLOCK);
        if (uber->magic == HFS_MAGIC_UBER && uber->txg > best) {
            best = uber->txg;
            at = label + 1 + i;
        }
    }
    return at;
}

static void collect_nodes(struct base *b)
{
    b->node_count = 0;
    for (u64 block = 0; block + 4 <= b->image.sim.dev.blocks; block += 4) {
        const struct hfs_node_head *head = (const void *)(b->good + block * BDEV_BLOCK);
        if (head->magic == HFS_MAGIC_NODE && head->addr == block && b->node_count < 512) {
            b->nodes[b->node_count++] = block;
        }
    }
}

static void damage(struct base *b, u64 *rng)
{
    static const u64 interesting[] = {
        0, 1, 0xff, 0xffff, 0x7fffffff, 0xffffffffffffffff, 4096, 16384, 1ull << 48, 1ull << 63};
    struct sim *sim = &b->image.sim;
    u32 changes = 1 + rng_below(rng, 3);
    for (u32 i = 0; i < changes; i++) {
        u64 block = rng_below(rng, 8) == 0 ? newest_root(sim, 0)
                    : rng_below(rng, 12) == 0
                        ? 36 + rng_below(rng, 14)
                        : b->nodes[rng_below(rng, b->node_count)] + rng_below(rng, 4);
        u8 *p = sim->data + block * BDEV_BLOCK;
        u32 at = rng_below(rng, rng_below(rng, 2) == 0 ? 512 : 4088);
        u64 value = rng_below(rng, 2) == 0 ? interesting[rng_below(rng, 10)] : rng_next(rng);
        switch (rng_below(rng, 4)) {
        case 0:
            p[at] ^= (u8)(1u << rng_below(rng, 8));
            break;
        case 1:
            memcpy(p + (at & ~7u), &value, 8);
            break;
        case 2:
            memcpy(p + (at & ~1u), &value, 2);
            break;
        default: /* another node's piece */
            memmove(p + at / 2,
                    sim->data + b->nodes[rng_below(rng, b->node_count)] * BDEV_BLOCK + at / 4,
                    rng_below(rng, 200));
            break;
        }
    }
    resign_root(sim, newest_root(sim, 0));
    /* The other label would serve the undamaged checksums. */
    struct hfs_super super;
    memcpy(&super, sim->data, sizeof(super));
    if (super.label_b + HFS_LABEL_BLOCKS <= sim->dev.blocks) {
        memset(sim->data + super.label_b * BDEV_BLOCK, 0, 33 * (size_t)BDEV_BLOCK);
    }
}

/* Everything that reads or changes; answers are ignored. */
static void exercise(struct base *b)
{
    struct hfs_key_source *key = b->image.encrypted ? &b->image.key : NULL;
    image_verify(&b->image.sim.dev, key, false);
    struct hfs_mount_opts opts = {.key = key, .cache_bytes = HX_KIB(256)};
    struct hfs *fs;
    if (hfs_mount(&b->image.sim.dev, &opts, &fs) != HX_OK) {
        return;
    }
    u64 hash;
    struct hfs_subvol *sv;
    struct hfs_inode *root, *inode;
    HX_IGNORE(work_hash(fs, &hash), "any answer");
    if (hfs_subvol_open(fs, "main", &sv) == HX_OK) {
        if (hfs_root(sv, &root) == HX_OK) {
            size_t done;
            static u8 data[30000];
            for (u32 i = 0; i < 16; i++) {
                char text[8];
                sprintf(text, "n%u", i);
                struct hfs_name name = {text, strlen(text)};
                if (hfs_lookup(root, name, &inode) == HX_OK) {
                    HX_IGNORE(hfs_write(inode, i * 1000, data, sizeof(data), &done), "any answer");
                    HX_IGNORE(hfs_truncate(inode, i * 777), "any answer");
                    HX_IGNORE(hfs_xattr_remove(inode, name), "any answer");
                    HX_IGNORE(hfs_fsync(inode), "any answer");
                    hfs_inode_put(inode);
                }
                if (i % 3 == 0) {
                    HX_IGNORE(hfs_unlink(root, name), "any answer");
                    HX_IGNORE(hfs_rmdir(root, name), "any answer");
                }
            }
            hfs_inode_put(root);
        }
        hfs_subvol_put(sv);
    }
    for (u32 i = 0; i < 6; i++) {
        char name[8];
        sprintf(name, "s%u", i);
        HX_IGNORE(hfs_destroy(fs, name), "any answer");
    }
    HX_IGNORE(hfs_unmount(fs), "any answer");
}

/* Every bit of one node through the node reader, without repairing anything. */
static u64 flips_unnoticed(struct base *b, u64 *flips)
{
    u8 node[HFS_NODE], csum[16], want[16];
    u64 missed = 0;
    for (u32 n = 0; n < b->node_count; n += 8) {
        memcpy(node, b->good + b->nodes[n] * BDEV_BLOCK, HFS_NODE);
        node_csum(node, want);
        for (u32 bit = n % 97; bit < HFS_NODE * 8; bit += 97) {
            node[bit / 8] ^= (u8)(1u << bit % 8);
            node_csum(node, csum);
            missed += memcmp(csum, want, 16) == 0;
            node[bit / 8] ^= (u8)(1u << bit % 8);
            ++*flips;
        }
    }
    return missed;
}

int main(int argc, char **argv)
{
    struct args args = {.seed = 1, .seeds = 6, .ops = 400};
    if (!args_parse(argc, argv, &args)) {
        return 2;
    }
    hostport_log_level(LOG_PANIC);
    u64 done = 0, mutations = 0, flips = 0, missed = 0;
    for (u64 seed = args.seed; args_go_on(&args, done); seed++, done++) {
        static struct base b;
        if (!base_make(&b, seed)) {
            fprintf(stderr, "imagefuzz: seed %llu: %s\n", (unsigned long long)seed, b.w.error);
            return 1;
        }
        collect_nodes(&b);
        missed += flips_unnoticed(&b, &flips);
        for (u64 i = 0; i < args.ops; i++, mutations++) {
            u64 rng = seed * 1000003 + i * 2 + 1;
            memcpy(b.image.sim.data, b.good, b.bytes);
            damage(&b, &rng);
            exercise(&b);
        }
        free(b.good);
        image_close(&b.image, &b.w, false);
        work_fini(&b.w);
    }
    printf("imagefuzz: %llu images, %llu mutations; %llu bits flipped, %llu unnoticed\n",
           (unsigned long long)done, (unsigned long long)mutations, (unsigned long long)flips,
           (unsigned long long)missed);
    return missed > 0;
}
