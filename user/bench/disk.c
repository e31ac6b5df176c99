/* SPDX-License-Identifier: MIT */
/* fs.*: a file system on a disk, which is mounted on /data; without one they are left out.
 *
 * A disk takes time in which the processor does nothing, or would do other work: what is counted is
 * instructions less those that the processor waited, as /proc/cpu says. What an operation leaves to
 * be written later is part of its cost, so each sample does many of them and then has everything
 * written, and is the mean.
 */
#include "bench.h"

#include <helix/string.h>
#include <hx/clock.h>
#include <hx/file.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/syscall.h>

#define MOUNT   "/data"
#define FOLDER  MOUNT "/bench"
#define FILE_AT FOLDER "/big"
#define ROUNDS  3
#define NAMES   1000 /* files that a sample makes, or takes away */
#define WARM    4096 /* operations of a sample that touch no disk */
#define BIG     HX_MIB(64)
#define PIECE   HX_KIB(64)
#define BLOCKS  (BIG / 4096)
#define SYNCS   200

static struct {
    u64 values[ROUNDS];
    char path[48];
    u8 *buffer; /* PIECE bytes */
    hx_handle_t file;
    const char *why;
    enum hx_status status;
    u32 seed;
} disk;

static void need(enum hx_status status, const char *why)
{
    if (status != HX_OK && !disk.why) {
        disk.why = why;
        disk.status = status;
    }
}

/* Instructions that the processor did not wait. */
static u64 busy(void)
{
    char text[512];
    hx_handle_t file;
    u64 idle = 0;
    enum hx_status status = hx_open(HX_HANDLE_NONE, "/proc/cpu", HX_OPEN_READ, 0, &file);
    if (status == HX_OK) {
        s64 n = hx_read(file, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        const char *at = strrchr(text, ' '); /* of the last line: "idle N" */
        for (at = at ? at + 1 : ""; *at >= '0' && *at <= '9'; at++) {
            idle = idle * 10 + (u64)(*at - '0');
        }
        HX_IGNORE(hx_handle_close(file), "it is ours");
    }
    need(status, "/proc/cpu");
    return hx_counter() - idle;
}

static const char *name(u32 number)
{
    static const char head[] = FOLDER "/f000000";
    memcpy(disk.path, head, sizeof(head));
    for (u32 digit = sizeof(head) - 2; number > 0; digit--, number /= 10) {
        disk.path[digit] = (char)('0' + number % 10);
    }
    return disk.path;
}

static void create_all(void)
{
    for (u32 i = 0; i < NAMES; i++) {
        hx_handle_t file;
        enum hx_status status =
            hx_open(HX_HANDLE_NONE, name(i), HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_EXCLUSIVE,
                    0644, &file);
        if (status == HX_OK) {
            status = hx_handle_close(file);
        }
        need(status, "create");
    }
}

static void unlink_all(void)
{
    for (u32 i = 0; i < NAMES; i++) {
        need(hx_unlink(HX_HANDLE_NONE, name(i), 0), "unlink");
    }
}

static void sync_all(void)
{
    need((enum hx_status)hx_sys_file_sync(HX_HANDLE_NONE), "sync");
}

static void sample_create(void)
{
    create_all();
    sync_all();
}

static void sample_unlink(void)
{
    unlink_all();
    sync_all();
}

static void prepare_names(void)
{
    create_all();
    sync_all();
}

static void clear_names(void)
{
    unlink_all();
    sync_all();
}

static void sample_stat(void)
{
    struct hx_stat stat;
    for (u32 i = 0; i < WARM; i++) {
        need(hx_stat(HX_HANDLE_NONE, name(i % NAMES), 0, &stat), "stat");
    }
}

static void open_big(void)
{
    need(hx_open(HX_HANDLE_NONE, FILE_AT, HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_CREATE, 0644,
                 &disk.file),
         "open");
}

static void close_big(void)
{
    need(hx_handle_close(disk.file), "close");
}

static void sync_big(void)
{
    need((enum hx_status)hx_sys_file_sync(disk.file), "fsync");
}

static void whole(s64 n, size_t size, const char *why)
{
    if (n != (s64)size) {
        need(n < 0 ? (enum hx_status)n : HX_ERR_IO, why);
    }
}

/* Contents that do not compress, and differ from block to block. */
static void fill(void)
{
    u64 *words = (void *)disk.buffer;
    u64 word = disk.seed++ * 0x9e3779b97f4a7c15ull + 1;
    for (u32 i = 0; i < PIECE / 8; i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        words[i] = word;
    }
}

static void write_big(void)
{
    for (u64 at = 0; at < BIG; at += PIECE) {
        whole(hx_write_at(disk.file, disk.buffer, PIECE, at), PIECE, "write");
    }
    sync_big();
}

static void prepare_write(void)
{
    fill();
    open_big();
}

static void clear_big(void)
{
    close_big();
    need(hx_unlink(HX_HANDLE_NONE, FILE_AT, 0), "unlink");
    sync_all();
}

static void remount(void)
{
    const struct hx_mount options = {.size = sizeof(options), .device = "vda"};
    need(hx_mount_device("helixfs", MOUNT, &options, 0), "mount");
}

static void forget(void)
{
    need(hx_unmount(MOUNT), "umount");
}

static void prepare_read(void)
{
    prepare_write();
    write_big();
    close_big();
    forget();
    remount();
    open_big();
}

static void sample_read_cold(void)
{
    for (u64 at = 0; at < BIG; at += PIECE) {
        whole(hx_read_at(disk.file, disk.buffer, PIECE, at), PIECE, "read");
    }
}

static void prepare_warm(void)
{
    prepare_write();
    whole(hx_write_at(disk.file, disk.buffer, PIECE, 0), PIECE, "write");
    sync_big();
    whole(hx_read_at(disk.file, disk.buffer, PIECE, 0), PIECE, "read");
}

static void sample_read_warm(void)
{
    for (u32 i = 0; i < WARM; i++) {
        whole(hx_read_at(disk.file, disk.buffer, 4096, i % 16 * 4096), 4096, "read");
    }
}

static void prepare_overwrite(void)
{
    prepare_write();
    write_big();
}

static void sample_overwrite(void)
{
    for (u32 i = 0; i < SYNCS; i++) {
        disk.seed = disk.seed * 1664525 + 1013904223;
        u64 block = (disk.seed >> 8) % BLOCKS;
        whole(hx_write_at(disk.file, disk.buffer, 4096, block * 4096), 4096, "write");
        sync_big();
    }
}

static void prepare_mount(void)
{
    create_all();
    sync_all();
    forget();
}

static void sample_mount(void)
{
    remount();
}

static void clear_mount(void)
{
    unlink_all();
    sync_all();
}

static const struct disk_benchmark {
    const char *name;
    u32 operations; /* of a sample */
    /* Around every sample, not counted; either may be absent. */
    void (*prepare)(void);
    void (*sample)(void);
    void (*clear)(void);
} benchmarks[] = {
    {"fs.create", NAMES, NULL, sample_create, clear_names},
    {"fs.stat", WARM, prepare_names, sample_stat, clear_names},
    {"fs.unlink", NAMES, prepare_names, sample_unlink, NULL},
    {"fs.write_seq_64m", BLOCKS, prepare_write, write_big, clear_big},
    {"fs.read_cold_64m", BLOCKS, prepare_read, sample_read_cold, clear_big},
    {"fs.read_4k", WARM, prepare_warm, sample_read_warm, clear_big},
    {"fs.overwrite_fsync_4k", SYNCS, prepare_overwrite, sample_overwrite, clear_big},
    {"fs.mount_1g", 1, prepare_mount, sample_mount, clear_mount},
};

static bool measure(const struct disk_benchmark *b)
{
    disk.why = NULL;
    for (u32 i = 0; i < ROUNDS && !disk.why; i++) {
        if (b->prepare) {
            b->prepare();
        }
        u64 before = busy();
        u64 overhead = busy() - before, begin = busy();
        b->sample();
        u64 count = busy() - begin;
        disk.values[i] = (count > overhead ? count - overhead : 0) / b->operations;
        if (b->clear) {
            b->clear();
        }
    }
    return !disk.why;
}

int bench_disk(int argc, char **argv, bool json)
{
    struct hx_fs_stat stat;
    int result = 0;
    bool ready = hx_sys_fs_stat(HX_HANDLE_NONE, MOUNT, strlen(MOUNT), &stat, sizeof(stat)) >= 0 &&
                 str_equal(stat.type, "helixfs");
    for (u32 i = 0; ready && i < HX_ARRAY_SIZE(benchmarks); i++) {
        const struct disk_benchmark *b = &benchmarks[i];
        if (!bench_is_wanted(b->name, argc, argv)) {
            continue;
        }
        if (!disk.buffer) {
            need(hx_memory_map(NULL, PIECE, HX_MAP_WRITE, (void **)&disk.buffer), "no memory");
            need(hx_mkdir(HX_HANDLE_NONE, FOLDER, 0755), "mkdir");
        }
        if (measure(b)) {
            bench_print(b->name, disk.values, ROUNDS, json);
        } else {
            hx_printf("bench-user: %s: %s: %s\n", b->name, disk.why, hx_status_words(disk.status));
            result = 1;
        }
    }
    if (disk.buffer) {
        HX_IGNORE(hx_unlink(HX_HANDLE_NONE, FOLDER, HX_UNLINK_DIRECTORY), "or it is not empty");
    }
    return result;
}
