/* SPDX-License-Identifier: MIT */
/* HelixFS: what random operations do not aim at: full disks, every failing allocation and device
 * call, flipped bits, snapshots, keys, what an fsync costs.
 */
#include "setup.h"

#include <fs/os.h>
#include <helix/bits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define BLOCKS 4096u

struct box {
    struct sim sim;
    struct hfs *fs;
    struct hfs_subvol *sv;
    struct hfs_inode *root;
};

static void ok(enum hx_status status)
{
    assert_string_equal(hx_status_name(status), "HX_OK");
}

static void is(enum hx_status status, enum hx_status want)
{
    assert_string_equal(hx_status_name(status), hx_status_name(want));
}

static struct hfs_name name_of(const char *s)
{
    return (struct hfs_name){s, strlen(s)};
}

static void box_mount(struct box *b, const struct hfs_mount_opts *opts)
{
    ok(hfs_mount(&b->sim.dev, opts, &b->fs));
    ok(hfs_subvol_open(b->fs, "main", &b->sv));
    ok(hfs_root(b->sv, &b->root));
}

static void box_unmount(struct box *b)
{
    hfs_inode_put(b->root);
    hfs_subvol_put(b->sv);
    ok(hfs_unmount(b->fs));
}

static void box_make(struct box *b, u64 blocks, const struct hfs_mkfs_opts *opts)
{
    memset(b, 0, sizeof(*b));
    hostport_seed(42);
    sim_init(&b->sim, blocks);
    ok(hfs_mkfs(&b->sim.dev, opts));
}

static enum hx_status put_file(struct hfs_inode *dir, const char *name, const void *data,
                               size_t len)
{
    struct hfs_inode *inode;
    size_t done = 0;
    enum hx_status status = hfs_create(dir, name_of(name), 0100644, (struct hfs_owner){0, 0}, 0,
                                       (struct hfs_name){0, 0}, &inode);
    if (status == HX_OK) {
        status = hfs_write(inode, 0, data, len, &done);
        if (status == HX_OK && done < len) {
            status = HX_ERR_NO_SPACE;
        }
        hfs_inode_put(inode);
    }
    return status;
}

static struct hfs_inode *open_file(struct hfs_inode *dir, const char *name)
{
    struct hfs_inode *inode;
    ok(hfs_lookup(dir, name_of(name), &inode));
    return inode;
}

static void expect_content(struct hfs_inode *dir, const char *name, int byte, size_t len)
{
    u8 *buf = malloc(len + 1);
    size_t got;
    struct hfs_inode *inode = open_file(dir, name);
    ok(hfs_read(inode, 0, buf, len + 1, &got));
    assert_int_equal(got, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(buf[i], (u8)byte);
    }
    hfs_inode_put(inode);
    free(buf);
}

static void expect_sound(struct bdev *dev, const struct hfs_key_source *key)
{
    assert_true(image_verify(dev, key, true));
}

/* Space */

static void full_disk_can_always_be_emptied(void **state)
{
    (void)state;
    static u8 data[200000];
    for (u32 round = 0; round < 6; round++) {
        struct box b;
        struct hfs_mkfs_opts opts = {.copies = 1 + round % 2, .alg = round % 3 == 2};
        box_make(&b, round < 3 ? 1536 : BLOCKS, &opts);
        box_mount(&b, NULL);
        u64 rng = 77 + round;
        for (u32 i = 0; i < sizeof(data); i++) {
            data[i] = (u8)rng_next(&rng);
        }
        u32 made = 0;
        char name[32];
        bool held = round % 2 == 1;
        for (u32 pass = 0; pass < 2; pass++) { /* large files, then as many small ones as fit */
            for (;;) {
                sprintf(name, "f%u", made);
                enum hx_status status =
                    put_file(b.root, name, data, pass == 0 ? 1 + rng_below(&rng, 199999) : 300);
                made++; /* the one that fails half way is there too, perhaps */
                if (status == HX_ERR_NO_SPACE) {
                    break;
                }
                ok(status);
            }
            if (held && pass == 0) {
                enum hx_status status = hfs_snapshot(b.fs, "main", "held");
                assert_true(status == HX_OK || status == HX_ERR_NO_SPACE);
            }
        }
        assert_true(made > 3);
        enum hx_status status = hfs_sync(b.fs);
        ok(status);
        u32 missing = 0;
        for (u32 i = 0; i < made; i++) {
            sprintf(name, "f%u", i);
            status = hfs_unlink(b.root, name_of(name));
            missing += status == HX_ERR_NOT_FOUND;
            assert_true(status == HX_OK || status == HX_ERR_NOT_FOUND);
        }
        assert_in_range(missing, 0, 2);
        status = hfs_destroy(b.fs, "held");
        assert_true(status == HX_OK || status == HX_ERR_NOT_FOUND);
        ok(hfs_sync(b.fs));
        struct hfs_stat st;
        hfs_statfs(b.fs, &st);
        ok(put_file(b.root, "again", data, sizeof(data)));
        box_unmount(&b);
        expect_sound(&b.sim.dev, NULL);
        sim_fini(&b.sim);
    }
}

/* Faults */

/* A fixed piece of work that tolerates any failure; returns whether everything worked. */
static bool try_work(struct bdev *dev)
{
    struct hfs *fs;
    struct hfs_subvol *sv;
    struct hfs_inode *root, *inode;
    static u8 data[30000];
    memset(data, 'x', sizeof(data));
    if (hfs_mount(dev, NULL, &fs) != HX_OK) {
        return false;
    }
    bool good = hfs_subvol_open(fs, "main", &sv) == HX_OK;
    if (good) {
        good = hfs_root(sv, &root) == HX_OK;
        if (good) {
            for (u32 i = 0; i < 6; i++) {
                char name[8];
                sprintf(name, "w%u", i);
                good &= put_file(root, name, data, 1 + 5000 * i) == HX_OK;
            }
            good &= hfs_rename(root, name_of("w1"), root, name_of("w2"), 0) == HX_OK;
            good &= hfs_unlink(root, name_of("w3")) == HX_OK;
            if (hfs_lookup(root, name_of("w4"), &inode) == HX_OK) {
                good &= hfs_truncate(inode, 777) == HX_OK;
                good &= hfs_xattr_set(inode, name_of("user.a"), data, 100, 0) == HX_OK;
                good &= hfs_fsync(inode) == HX_OK;
                hfs_inode_put(inode);
            } else {
                good = false;
            }
            good &= hfs_snapshot(fs, "main", "snap") == HX_OK;
            good &= hfs_unlink(root, name_of("w5")) == HX_OK;
            good &= hfs_destroy(fs, "snap") == HX_OK;
            hfs_inode_put(root);
        }
        hfs_subvol_put(sv);
    }
    return (hfs_unmount(fs) == HX_OK) & good;
}

static void after_fault(struct sim *sim)
{
    sim->fail_read = sim->fail_write = sim->fail_flush = 0;
    hostport_fail_alloc(0);
    expect_sound(&sim->dev, NULL);
    struct hfs *fs;
    u64 hash;
    ok(hfs_mount(&sim->dev, NULL, &fs));
    ok(work_hash(fs, &hash));
    ok(hfs_unmount(fs));
    expect_sound(&sim->dev, NULL);
}

enum fault { FAULT_ALLOC, FAULT_READ, FAULT_WRITE, FAULT_FLUSH };

static void every_fault(enum fault fault)
{
    struct box b;
    box_make(&b, 1536, NULL);
    size_t bytes = 1536 * (size_t)BDEV_BLOCK;
    u8 *fresh = malloc(bytes);
    memcpy(fresh, b.sim.data, bytes);
    bool done = false;
    u64 n;
    for (n = 1; !done; n++) {
        memcpy(b.sim.data, fresh, bytes);
        u64 live = hostport_alloc_live();
        if (fault == FAULT_ALLOC) {
            hostport_fail_alloc(n);
        } else {
            *(fault == FAULT_READ    ? &b.sim.fail_read
              : fault == FAULT_WRITE ? &b.sim.fail_write
                                     : &b.sim.fail_flush) = n;
        }
        done = try_work(&b.sim.dev);
        assert_int_equal(hostport_alloc_live(), live);
        bool unused = b.sim.fail_read > 0 || b.sim.fail_write > 0 || b.sim.fail_flush > 0;
        after_fault(&b.sim);
        assert_true(n < 20000);
        if (fault == FAULT_ALLOC) {
            /* A failure may go unnoticed where the cache merely stays smaller: go on to the end. */
            static u64 total;
            total = n;
            done = done && n > 400;
            (void)total;
        } else {
            done = unused;
        }
    }
    assert_true(n > 4);
    free(fresh);
    sim_fini(&b.sim);
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    every_fault(FAULT_ALLOC);
}

static void every_failing_read_is_survived(void **state)
{
    (void)state;
    every_fault(FAULT_READ);
}

static void every_failing_write_is_survived(void **state)
{
    (void)state;
    every_fault(FAULT_WRITE);
}

static void every_failing_flush_is_survived(void **state)
{
    (void)state;
    every_fault(FAULT_FLUSH);
}

static void fsync_reports_a_write_error_and_retry_writes_again(void **state)
{
    (void)state;
    struct box b;
    static u8 data[20000];
    for (u32 kind = 0; kind < 2; kind++) { /* 0: the write fails, 1: the flush */
        box_make(&b, BLOCKS, NULL);
        box_mount(&b, NULL);
        memset(data, 'r', sizeof(data));
        ok(put_file(b.root, "file", data, sizeof(data)));
        struct hfs_inode *inode = open_file(b.root, "file");
        *(kind == 0 ? &b.sim.fail_write : &b.sim.fail_flush) = 1;
        is(hfs_fsync(inode), HX_ERR_IO);
        u64 before = b.sim.writes;
        ok(hfs_fsync(inode));
        assert_true(b.sim.writes > before + (kind == 1)); /* data again, not the log alone */
        hfs_inode_put(inode);
        hfs_inode_put(b.root);
        hfs_subvol_put(b.sv);
        hfs_abandon(b.fs);
        box_mount(&b, NULL);
        expect_content(b.root, "file", 'r', sizeof(data));
        box_unmount(&b);
        expect_sound(&b.sim.dev, NULL);
        sim_fini(&b.sim);
    }
}

/* Damage */

static void one_damaged_copy_of_a_node_is_repaired(void **state)
{
    (void)state;
    struct box b;
    box_make(&b, BLOCKS, NULL);
    box_mount(&b, NULL);
    ok(put_file(b.root, "file", "hello", 5));
    box_unmount(&b);
    /* Every block that looks like the first half of a node, one at a time. */
    u32 hit = 0;
    for (u64 block = 0; block < BLOCKS; block += HFS_NODE_BLOCKS) {
        u8 *p = b.sim.data + block * BDEV_BLOCK;
        if (hx_load_le32(p) != HFS_MAGIC_NODE || hx_load_le64(p + 16) != block) {
            continue;
        }
        p[100] ^= 0xff;
        struct hfs_scrub_result scrub;
        box_mount(&b, NULL);
        struct hfs_inode *inode = open_file(b.root, "file");
        hfs_inode_put(inode);
        ok(hfs_scrub(b.fs, &scrub));
        assert_int_equal(scrub.lost, 0);
        box_unmount(&b);
        hit++;
        expect_sound(&b.sim.dev, NULL);
    }
    assert_true(hit >= 2);
    sim_fini(&b.sim);
}

static void damaged_data_is_an_error_of_that_file_alone(void **state)
{
    (void)state;
    struct box b;
    static u8 data[40000];
    box_make(&b, BLOCKS, NULL);
    box_mount(&b, NULL);
    memset(data, 'g', sizeof(data));
    ok(put_file(b.root, "good", data, sizeof(data)));
    memset(data, 'b', sizeof(data));
    ok(put_file(b.root, "bad", data, sizeof(data)));
    box_unmount(&b);
    for (u64 block = 0; block < BLOCKS; block++) {
        u8 *p = b.sim.data + block * BDEV_BLOCK;
        if (p[0] == 'b' && p[1] == 'b' && p[4095] == 'b') {
            p[17] ^= 1;
        }
    }
    box_mount(&b, NULL);
    expect_content(b.root, "good", 'g', sizeof(data));
    struct hfs_inode *inode = open_file(b.root, "bad");
    size_t got;
    is(hfs_read(inode, 0, data, sizeof(data), &got), HX_ERR_CORRUPT);
    hfs_inode_put(inode);
    ok(hfs_unlink(b.root, name_of("bad")));
    box_unmount(&b);
    expect_sound(&b.sim.dev, NULL);
    sim_fini(&b.sim);
}

/* Snapshots */

static void snapshot_keeps_what_was(void **state)
{
    (void)state;
    struct box b;
    static u8 data[50000];
    box_make(&b, BLOCKS, NULL);
    box_mount(&b, NULL);
    memset(data, '1', sizeof(data));
    ok(put_file(b.root, "file", data, sizeof(data)));
    ok(hfs_snapshot(b.fs, "main", "one"));
    is(hfs_snapshot(b.fs, "main", "one"), HX_ERR_EXISTS);
    struct hfs_inode *inode = open_file(b.root, "file");
    size_t done;
    memset(data, '2', sizeof(data));
    ok(hfs_write(inode, 0, data, sizeof(data), &done));
    hfs_inode_put(inode);
    ok(hfs_snapshot(b.fs, "main", "two"));
    ok(hfs_unlink(b.root, name_of("file")));
    ok(hfs_clone(b.fs, "one", "clone"));
    is(hfs_destroy(b.fs, "one"), HX_ERR_BUSY);
    static const struct {
        const char *subvol;
        int byte;
    } want[] = {{"one", '1'}, {"two", '2'}, {"clone", '1'}};
    for (u32 i = 0; i < 3; i++) {
        struct hfs_subvol *sv;
        struct hfs_inode *root;
        ok(hfs_subvol_open(b.fs, want[i].subvol, &sv));
        ok(hfs_root(sv, &root));
        expect_content(root, "file", want[i].byte, sizeof(data));
        if (i < 2) {
            is(hfs_unlink(root, name_of("file")), HX_ERR_READ_ONLY);
        } else {
            ok(put_file(root, "own", data, 9000));
        }
        hfs_inode_put(root);
        hfs_subvol_put(sv);
    }
    box_unmount(&b);
    expect_sound(&b.sim.dev, NULL);
    ok(hfs_mount(&b.sim.dev, NULL, &b.fs));
    is(hfs_rollback(b.fs, "one"), HX_ERR_BUSY); /* not the newest */
    ok(hfs_rollback(b.fs, "two"));
    ok(hfs_destroy(b.fs, "clone"));
    ok(hfs_unmount(b.fs));
    expect_sound(&b.sim.dev, NULL);
    box_mount(&b, NULL);
    expect_content(b.root, "file", '2', sizeof(data));
    ok(hfs_destroy(b.fs, "one"));
    ok(hfs_destroy(b.fs, "two"));
    box_unmount(&b);
    expect_sound(&b.sim.dev, NULL);
    sim_fini(&b.sim);
}

static void snapshot_costs_the_same_with_many(void **state)
{
    (void)state;
    struct box b;
    box_make(&b, 16384, NULL);
    box_mount(&b, NULL);
    ok(put_file(b.root, "file", "x", 1));
    u64 cost[2] = {0, 0};
    for (u32 i = 0; i < 1000; i++) {
        char name[32];
        sprintf(name, "snapshot%u", i);
        ok(hfs_sync(b.fs));
        u64 before = b.sim.bytes_written;
        ok(hfs_snapshot(b.fs, "main", name));
        cost[i == 999] = i == 200 || i == 999 ? b.sim.bytes_written - before : cost[i == 999];
    }
    print_message("the 201st: %llu bytes, the 1,000th: %llu\n", (unsigned long long)cost[0],
                  (unsigned long long)cost[1]);
    assert_in_range(cost[1], 1, 6 * 2 * HFS_NODE + 8 * HFS_BLOCK); /* six nodes, twice each */
    box_unmount(&b);
    expect_sound(&b.sim.dev, NULL);
    sim_fini(&b.sim);
}

struct diff_count {
    u32 added, removed, changed;
};

static bool count_diff(void *ctx, enum hfs_change change, const struct hfs_key *key,
                       const void *old_value, u32 old_len, const void *new_value, u32 new_len)
{
    struct diff_count *n = ctx;
    (void)old_value;
    (void)old_len;
    (void)new_value;
    (void)new_len;
    if (key->kind == HFS_KIND_INODE && key->oid != HFS_INO_ROOT) {
        n->added += change == HFS_ADDED;
        n->removed += change == HFS_REMOVED;
        n->changed += change == HFS_CHANGED;
    }
    return true;
}

static void diff_finds_every_change_and_nothing_else(void **state)
{
    (void)state;
    struct box b;
    u64 rng = 5;
    box_make(&b, 16384, NULL);
    box_mount(&b, NULL);
    char name[32];
    for (u32 i = 0; i < 2000; i++) {
        sprintf(name, "file%u", i);
        ok(put_file(b.root, name, name, strlen(name)));
    }
    ok(hfs_snapshot(b.fs, "main", "from"));
    u8 fate[2000] = {0};
    u32 want[4] = {0};
    for (u32 i = 0; i < 300; i++) {
        u32 at = rng_below(&rng, 2000);
        sprintf(name, "file%u", at);
        if (fate[at] != 0) {
            continue;
        }
        fate[at] = 1 + rng_below(&rng, 2);
        want[fate[at]]++;
        if (fate[at] == 1) {
            ok(hfs_unlink(b.root, name_of(name)));
        } else {
            struct hfs_inode *inode = open_file(b.root, name);
            size_t done;
            ok(hfs_write(inode, 0, "changed!", 8, &done));
            hfs_inode_put(inode);
        }
    }
    for (u32 i = 0; i < 1900; i++) { /* empties whole leaves behind unchanged ones */
        if (i > 1500 && fate[i] == 0) {
            sprintf(name, "file%u", i);
            ok(hfs_unlink(b.root, name_of(name)));
            fate[i] = 1;
            want[1]++;
        } else if (i > 1500 && fate[i] == 2) {
            sprintf(name, "file%u", i);
            ok(hfs_unlink(b.root, name_of(name)));
            want[1]++;
            want[2]--;
        }
    }
    for (u32 i = 0; i < 50; i++) {
        sprintf(name, "new%u", i);
        ok(put_file(b.root, name, "new", 3));
    }
    struct diff_count n = {0};
    ok(hfs_diff(b.fs, "from", "main", count_diff, &n));
    assert_int_equal(n.added, 50);
    assert_int_equal(n.removed, want[1]);
    assert_int_equal(n.changed, want[2]);
    box_unmount(&b);
    sim_fini(&b.sim);
}

/* Keys */

static void wrong_key_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct box b;
    u8 one[32] = "the first key, thirty-two bytes", two[32] = "the second one, thirty-two bytes";
    struct hfs_key_source a = {.secret = one, .len = 32}, c = {.secret = two, .len = 32};
    struct hfs_key_source pass = {.secret = "correct horse", .len = 13, .ops = 1, .mem_kib = 64};
    struct hfs_mkfs_opts opts = {.key = &a};
    struct hfs_mount_opts with = {.key = &a}, wrong = {.key = &c}, later = {.key = &pass};
    static u8 data[9000];
    memset(data, 'S', sizeof(data));
    box_make(&b, BLOCKS, &opts);
    box_mount(&b, &with);
    ok(put_file(b.root, "secret-name-of-a-file", data, sizeof(data)));
    struct hfs_inode *inode = open_file(b.root, "secret-name-of-a-file");
    ok(hfs_fsync(inode)); /* the log is encrypted too */
    hfs_inode_put(inode);
    hfs_inode_put(b.root);
    hfs_subvol_put(b.sv);
    hfs_abandon(b.fs);
    u64 writes = b.sim.writes;
    is(hfs_mount(&b.sim.dev, NULL, &b.fs), HX_ERR_ACCESS);
    is(hfs_mount(&b.sim.dev, &wrong, &b.fs), HX_ERR_SIGNATURE);
    assert_int_equal(b.sim.writes, writes);
    for (size_t i = 0; i + 21 < BLOCKS * (size_t)BDEV_BLOCK; i++) {
        assert_false(b.sim.data[i] == 'S' && memcmp(b.sim.data + i, data, 64) == 0);
        assert_false(b.sim.data[i] == 's' &&
                     memcmp(b.sim.data + i, "secret-name-of-a-file", 21) == 0);
    }
    box_mount(&b, &with);
    expect_content(b.root, "secret-name-of-a-file", 'S', sizeof(data));
    ok(hfs_key_change(b.fs, "main", &pass));
    box_unmount(&b);
    ok(hfs_mount(&b.sim.dev, &with, &b.fs));
    struct hfs_subvol *sv;
    is(hfs_subvol_open(b.fs, "main", &sv), HX_ERR_SIGNATURE);
    ok(hfs_unmount(b.fs));
    box_mount(&b, &later);
    expect_content(b.root, "secret-name-of-a-file", 'S', sizeof(data));
    box_unmount(&b);
    expect_sound(&b.sim.dev, &pass);
    sim_fini(&b.sim);
}

/* Costs */

static void cost_of_fsync_stays_in_its_budget(void **state)
{
    (void)state;
    static u8 data[1 << 20];
    struct box b;
    u64 rng = 9;
    size_t done;
    char name[32];
    struct hfs_inode *inode;
    box_make(&b, 262144, NULL); /* 1 GiB */
    struct hfs_mount_opts opts = {.cache_bytes = HX_MIB(32)};
    box_mount(&b, &opts);
    struct {
        const char *what;
        u64 n, bytes, flushes, bytes_max, flushes_max;
    } rows[4] = {{"create 1 KiB + fsync", 2000, 0, 0, 8192, 1},
                 {"4 KiB overwrite + fsync", 4000, 0, 0, 12288, 1},
                 {"100 B append + fsync", 2000, 0, 0, 6144, 1},
                 {"write-rename-sync", 2000, 0, 0, 16384, 2}};
    ok(put_file(b.root, "big", data, sizeof(data)));
    inode = open_file(b.root, "big");
    for (u32 i = 1; i < 100; i++) {
        ok(hfs_write(inode, (u64)i * sizeof(data), data, sizeof(data), &done));
    }
    ok(put_file(b.root, "log", "", 0));
    struct hfs_inode *log = open_file(b.root, "log");
    for (u32 r = 0; r < 4; r++) {
        ok(hfs_sync(b.fs));
        u64 bytes = b.sim.bytes_written, flushes = b.sim.flushes;
        for (u32 i = 0; i < rows[r].n; i++) {
            struct hfs_inode *made = NULL;
            sprintf(name, r == 0 ? "made%u" : "tmp", i);
            if (r == 1) {
                ok(hfs_write(inode, (u64)rng_below(&rng, 25600) * 4096, data, 4096, &done));
                ok(hfs_fsync(inode));
            } else if (r == 2) {
                ok(hfs_write(log, i * 100, data, 100, &done));
                ok(hfs_fsync(log));
            } else {
                ok(put_file(b.root, name, data, 1024));
                made = open_file(b.root, name);
                ok(hfs_fsync(made));
                hfs_inode_put(made);
                if (r == 3) {
                    ok(hfs_rename(b.root, name_of("tmp"), b.root, name_of("target"), 0));
                    ok(hfs_fsync(b.root));
                }
            }
        }
        ok(hfs_sync(b.fs)); /* commit work included */
        rows[r].bytes = (b.sim.bytes_written - bytes) / rows[r].n;
        rows[r].flushes = (b.sim.flushes - flushes) * 100 / rows[r].n;
        print_message("%-24s %6llu bytes, %llu.%02llu flushes\n", rows[r].what,
                      (unsigned long long)rows[r].bytes, (unsigned long long)rows[r].flushes / 100,
                      (unsigned long long)rows[r].flushes % 100);
    }
    for (u32 r = 0; r < 4; r++) {
        assert_in_range(rows[r].bytes, 1, rows[r].bytes_max);
        assert_in_range(rows[r].flushes, 1, rows[r].flushes_max * 100 + 2);
    }
    hfs_inode_put(log);
    hfs_inode_put(inode);
    box_unmount(&b);
    expect_sound(&b.sim.dev, NULL);
    box_mount(&b, NULL);
    box_unmount(&b);
    sim_fini(&b.sim);
}

static void clean_mount_reads_little(void **state)
{
    (void)state;
    struct box b;
    box_make(&b, 2048, NULL);
    b.sim.reads = 0;
    box_mount(&b, NULL);
    assert_in_range(b.sim.reads, 1, 24);
    print_message("mount of 8 MiB: %llu reads\n", (unsigned long long)b.sim.reads);
    box_unmount(&b);
    sim_fini(&b.sim);
}

static void same_operations_give_the_same_image(void **state)
{
    (void)state;
    u32 crc[2];
    for (u32 i = 0; i < 2; i++) {
        struct box b;
        static u8 data[70000];
        struct hfs_mkfs_opts opts = {.alg = HFS_ALG_LZ4};
        box_make(&b, BLOCKS, &opts);
        box_mount(&b, NULL);
        memset(data, 'd', sizeof(data));
        ok(put_file(b.root, "a", data, sizeof(data)));
        ok(put_file(b.root, "b", data, 100));
        ok(hfs_unlink(b.root, name_of("a")));
        box_unmount(&b);
        crc[i] = os_crc32c(0, b.sim.data, BLOCKS * (size_t)BDEV_BLOCK);
        sim_fini(&b.sim);
    }
    assert_int_equal(crc[0], crc[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_can_always_be_emptied),
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(every_failing_read_is_survived),
        cmocka_unit_test(every_failing_write_is_survived),
        cmocka_unit_test(every_failing_flush_is_survived),
        cmocka_unit_test(fsync_reports_a_write_error_and_retry_writes_again),
        cmocka_unit_test(one_damaged_copy_of_a_node_is_repaired),
        cmocka_unit_test(damaged_data_is_an_error_of_that_file_alone),
        cmocka_unit_test(snapshot_keeps_what_was),
        cmocka_unit_test(snapshot_costs_the_same_with_many),
        cmocka_unit_test(diff_finds_every_change_and_nothing_else),
        cmocka_unit_test(wrong_key_is_refused_and_changes_nothing),
        cmocka_unit_test(cost_of_fsync_stays_in_its_budget),
        cmocka_unit_test(clean_mount_reads_little),
        cmocka_unit_test(same_operations_give_the_same_image),
    };
    hostport_log_level(LOG_PANIC);
    return cmocka_run_group_tests_name("helixfs", tests, NULL, NULL);
}
