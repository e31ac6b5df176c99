/* SPDX-License-Identifier: MIT */
/* Crash simulator: runs random operations on a recorded device, then builds what the disk may hold
 * after a power cut at any moment, and checks that every such image
 *   - is sound as it lies there, and after recovery (hfs_verify);
 *   - shows exactly a prefix of the operations, and nothing acknowledged is missing from it;
 *   - the same when power fails again during recovery, up to three times;
 *   - takes further operations as if nothing had happened.
 *
 *   crash [--seed N] [--seeds COUNT] [--ops COUNT] [--states COUNT] [--seconds S]
 *
 * Between two flushes a disk may keep any subset of the writes in any order, each torn between
 * 512-byte sectors. For every such epoch: all prefixes; each one dropped, kept alone, torn; all
 * subsets of up to 8 writes, else random ones. A failure prints seed and state, which repeat it.
 */
#include "setup.h"

#define DEPTH_MAX 3u

/* One write that arrived, wholly or in part. */
struct put {
    u64 block;
    u8 *data;
    u32 mask;   /* sectors */
    bool owned; /* data is freed with it */
};

struct crash {
    struct image *image;
    struct work *w;
    u64 seed, rng;
    u8 *base; /* everything durable at the last flush */
    struct overlay overlay;
    struct put *puts; /* the present state, over base */
    u32 put_count, put_room;
    u64 seed_states; /* of this image: they number its states */
    u64 states, failed, again, continued, limit;
    u64 moved; /* recoveries that, cut short, ended at another legal state: what the first one wrote
                * to a free block may complete an entry that had been torn */
};

static bool fail(struct crash *c, u64 id, const char *why, enum hx_status status)
{
    c->failed++;
    fprintf(stderr, "crash: seed %llu state %llu: %s (%s)\n", (unsigned long long)c->seed,
            (unsigned long long)id, why, hx_status_name(status));
    for (u32 i = 0; i < c->put_count; i++) {
        fprintf(stderr, "  block %llu%s: sectors %02x\n", (unsigned long long)c->puts[i].block,
                c->puts[i].owned ? " (recovery)" : "", c->puts[i].mask);
    }
    return false;
}

static const struct hfs_key_source *key_of(const struct crash *c)
{
    return c->image->encrypted ? &c->image->key : NULL;
}

/* Mounts what is in the overlay, and leaves it recovered. */
static bool recover(struct crash *c, u64 id, u64 promised, u64 *out_hash)
{
    struct bdev *dev = &c->overlay.dev;
    struct hfs_mount_opts opts = {.cache_bytes = c->image->cache_bytes, .key = key_of(c)};
    struct hfs *fs;
    if (!image_verify(dev, key_of(c), false)) {
        image_verify(dev, key_of(c), true);
        return fail(c, id, "unsound before recovery", HX_ERR_CORRUPT);
    }
    enum hx_status status = hfs_mount(dev, &opts, &fs);
    if (status != HX_OK) {
        return fail(c, id, "cannot be mounted", status);
    }
    status = work_hash(fs, out_hash);
    if (status != HX_OK) {
        hfs_abandon(fs);
        return fail(c, id, "cannot be read", status);
    }
    status = hfs_unmount(fs);
    if (status != HX_OK) {
        return fail(c, id, "cannot be unmounted", status);
    }
    u64 at = c->w->state_count;
    while (at > 0 && c->w->states[at - 1] != *out_hash) {
        at--;
    }
    if (at == 0) {
        return fail(c, id, "not a prefix of the operations", HX_ERR_CORRUPT);
    }
    if (at - 1 < promised) {
        fprintf(stderr, "crash: shows state %llu, promised was %llu\n", (unsigned long long)at - 1,
                (unsigned long long)promised);
        return fail(c, id, "an acknowledged operation is missing", HX_ERR_CORRUPT);
    }
    if (!image_verify(dev, key_of(c), false)) {
        image_verify(dev, key_of(c), true);
        return fail(c, id, "unsound after recovery", HX_ERR_CORRUPT);
    }
    return true;
}

/* Further operations on the recovered image, against a model that starts from what it shows. */
static bool go_on(struct crash *c, u64 id)
{
    struct hfs_mount_opts opts = {.cache_bytes = c->image->cache_bytes, .key = key_of(c)};
    struct hfs *fs;
    struct hfs_subvol *sv;
    struct hfs_inode *root, *inode;
    enum hx_status status = hfs_mount(&c->overlay.dev, &opts, &fs);
    if (status != HX_OK) {
        return fail(c, id, "second mount", status);
    }
    status = hfs_subvol_open(fs, "main", &sv);
    if (status == HX_OK) {
        status = hfs_root(sv, &root);
    }
    u8 data[9000], back[9000];
    for (u32 i = 0; i < 6 && status == HX_OK; i++) {
        char name[16];
        sprintf(name, "after%u", i);
        struct hfs_name n = {name, strlen(name)};
        size_t done;
        memset(data, (int)(i + id), sizeof(data));
        status = hfs_create(root, n, 0100644, (struct hfs_owner){0, 0}, 0, (struct hfs_name){0, 0},
                            &inode);
        if (status == HX_OK) {
            status = hfs_write(inode, 0, data, 1500 * (i + 1), &done);
            if (status == HX_OK) {
                status = hfs_fsync(inode);
            }
            if (status == HX_OK) {
                status = hfs_read(inode, 0, back, 1500 * (i + 1), &done);
            }
            if (status == HX_OK && memcmp(data, back, done) != 0) {
                status = HX_ERR_CORRUPT;
            }
            hfs_inode_put(inode);
        }
        if (status == HX_OK && i % 2 == 1) {
            status = hfs_unlink(root, n);
        }
    }
    if (status == HX_ERR_NO_SPACE && c->w->may_fill) {
        status = HX_OK;
    }
    if (status == HX_OK) {
        hfs_inode_put(root);
        hfs_subvol_put(sv);
        status = hfs_unmount(fs);
    }
    if (status != HX_OK) {
        return fail(c, id, "operations after recovery", status);
    }
    if (!image_verify(&c->overlay.dev, key_of(c), true)) {
        return fail(c, id, "unsound after further operations", HX_ERR_CORRUPT);
    }
    return true;
}

static void put_add(struct crash *c, u64 block, u8 *data, u32 mask, bool owned)
{
    if (c->put_count == c->put_room) {
        c->put_room = c->put_room > 0 ? 2 * c->put_room : 64;
        c->puts = realloc(c->puts, c->put_room * sizeof(*c->puts));
    }
    c->puts[c->put_count++] =
        (struct put){.block = block, .data = data, .mask = mask, .owned = owned};
}

static void puts_clear(struct crash *c)
{
    for (u32 i = 0; i < c->put_count; i++) {
        if (c->puts[i].owned) {
            free(c->puts[i].data);
        }
    }
    c->put_count = 0;
}

/* Makes the overlay show the present state. */
static void state_build(struct crash *c)
{
    overlay_reset(&c->overlay);
    for (u32 i = 0; i < c->put_count; i++) {
        if (c->puts[i].mask != 0) {
            overlay_put(&c->overlay, c->puts[i].block, c->puts[i].data, c->puts[i].mask);
        }
    }
}

/* Cuts power inside the recovery that the overlay has just recorded: what it flushed arrived, of
 * what came after a random part. */
static void state_cut(struct crash *c)
{
    const struct overlay *o = &c->overlay;
    u32 cut = rng_below(&c->rng, o->event_count + 1), flushed = 0;
    for (u32 i = 0; i < cut; i++) {
        flushed = o->events[i].kind == SIM_FLUSH ? i : flushed;
    }
    for (u32 i = 0; i < cut; i++) {
        if (o->events[i].kind == SIM_WRITE) {
            u32 choice = i < flushed ? 0 : rng_below(&c->rng, 6);
            u32 mask = choice < 3 ? 0xff : choice < 5 ? 0 : rng_below(&c->rng, 256);
            u8 *copy = malloc(BDEV_BLOCK);
            memcpy(copy, o->events[i].data, BDEV_BLOCK);
            put_add(c, o->events[i].block, copy, mask, true);
        }
    }
}

/* The present state through all checks. */
static bool state_check(struct crash *c, u64 promised)
{
    u64 id = ++c->seed_states, hash, again;
    c->states++;
    state_build(c);
    if (!recover(c, id, promised, &hash)) {
        return false;
    }
    bool deeper = id % 16 == 0;
    if (!deeper && id % 16 == 8) {
        c->continued++;
        return go_on(c, id);
    }
    for (u32 depth = 1; deeper && depth <= DEPTH_MAX; depth++) {
        state_cut(c);
        state_build(c);
        c->again++;
        if (!recover(c, id, promised, &again)) {
            return false;
        }
        c->moved += again != hash;
    }
    return true;
}

/* One state out of the writes [0, n) of an epoch: masks says what arrived of each. */
static bool try_masks(struct crash *c, const struct sim_event *events, u32 n, const u32 *masks,
                      u64 promised)
{
    if (c->limit > 0 && c->states >= c->limit) {
        return true;
    }
    puts_clear(c);
    for (u32 i = 0; i < n; i++) {
        put_add(c, events[i].block, events[i].data, masks[i], false);
    }
    bool good = state_check(c, promised);
    puts_clear(c);
    return good;
}

static u32 torn(struct crash *c)
{
    u32 cut = 1 + rng_below(&c->rng, SIM_BLOCK_SECTORS - 1);
    u32 front = (1u << cut) - 1;
    switch (rng_below(&c->rng, 3)) {
    case 0:
        return front;
    case 1:
        return ~front & 0xff;
    default:
        return rng_below(&c->rng, 256);
    }
}

/* Every state of one epoch. events[0, n) are its writes; after is what had been promised when the
 * next thing happened to the device. */
static bool epoch(struct crash *c, const struct sim_event *events, u32 n, u64 after)
{
    u32 *masks = malloc((n + 1) * sizeof(*masks));
    bool good = true;
    for (u32 k = 0; k <= n && good; k++) { /* prefixes, and what was promised by each */
        for (u32 i = 0; i < n; i++) {
            masks[i] = i < k ? 0xff : 0;
        }
        good = try_masks(c, events, n, masks, k < n ? events[k].mark : after);
    }
    u64 start = n > 0 ? events[0].mark : after; /* before the flush only this is sure */
    for (u32 k = 0; k < n && good; k++) {
        for (u32 kind = 0; kind < 3 && good; kind++) { /* dropped, alone, torn */
            for (u32 i = 0; i < n; i++) {
                masks[i] = kind == 1 ? 0 : 0xff;
            }
            masks[k] = kind == 0 ? 0 : kind == 1 ? 0xff : torn(c);
            good = try_masks(c, events, n, masks, start);
        }
    }
    u32 subsets = n == 0 ? 0 : n <= 8 ? 1u << n : 128;
    for (u32 s = 0; s < subsets && good; s++) {
        u64 bits = n <= 8 ? s : rng_next(&c->rng);
        for (u32 i = 0; i < n; i++) {
            if (n > 8 && i % 64 == 63) {
                bits = rng_next(&c->rng);
            }
            masks[i] = (bits >> (i % 64) & 1) != 0 ? 0xff : 0;
            if (n > 8 && rng_below(&c->rng, 8) == 0) {
                masks[i] = torn(c);
            }
        }
        good = try_masks(c, events, n, masks, start);
    }
    free(masks);
    return good;
}

/* Walks the recorded trace, epoch by epoch. */
static bool enumerate(struct crash *c)
{
    const struct sim *sim = &c->image->sim;
    u32 start = 0;
    for (u32 i = 0; i <= sim->event_count; i++) {
        if (i < sim->event_count && sim->events[i].kind == SIM_WRITE) {
            continue;
        }
        u64 after = i < sim->event_count ? sim->events[i].mark : c->w->promised;
        if (!epoch(c, sim->events + start, i - start, after)) {
            return false;
        }
        for (u32 k = start; k < i; k++) {
            memcpy(c->base + sim->events[k].block * BDEV_BLOCK, sim->events[k].data, BDEV_BLOCK);
        }
        start = i + 1;
        if (c->limit > 0 && c->states >= c->limit) {
            return true;
        }
    }
    return true;
}

static bool one_seed(struct crash *c, u64 seed, u32 ops)
{
    struct image image;
    struct work w;
    work_init(&w, seed);
    w.with_snapshots = seed % 3 == 0;
    bool good = image_make(&image, seed, &w);
    c->image = &image;
    c->w = &w;
    c->seed = seed;
    c->seed_states = 0;
    c->rng = seed * 7919 + 1;
    u64 bytes = image.sim.dev.blocks * BDEV_BLOCK;
    c->base = malloc(bytes);
    memcpy(c->base, image.sim.data, bytes);
    overlay_init(&c->overlay, c->base, image.sim.dev.blocks);
    sim_record(&image.sim, true);
    good = good && image_mount(&image, &w);
    for (u32 i = 0; good && i < ops; i++) {
        good = work_step(&w);
    }
    if (!good) {
        fprintf(stderr, "crash: seed %llu: %s\n", (unsigned long long)seed, w.error);
        c->failed++;
    } else {
        good = enumerate(c);
    }
    image_close(&image, &w, true);
    overlay_fini(&c->overlay);
    free(c->base);
    work_fini(&w);
    return good;
}

int main(int argc, char **argv)
{
    struct args args = {.seed = 1, .seeds = 1000000, .ops = 60, .states = 50000};
    struct crash c = {0};
    if (!args_parse(argc, argv, &args)) {
        return 2;
    }
    c.limit = args.states;
    u64 seed = args.seed, done = 0;
    for (; args_go_on(&args, done) && (c.limit == 0 || c.states < c.limit); seed++, done++) {
        one_seed(&c, seed, (u32)args.ops);
    }
    free(c.puts);
    printf("crash: %llu states of %llu images (%llu cuts in recovery, %llu carried on), "
           "%llu failed\n",
           (unsigned long long)(c.states + c.again), (unsigned long long)done,
           (unsigned long long)c.again, (unsigned long long)c.continued,
           (unsigned long long)c.failed);
    return c.failed > 0;
}
