/* SPDX-License-Identifier: MIT */
/* Tasks that work on the same names at once, on as many CPUs as there are.
 */
#include <core/random.h>
#include <core/task.h>
#include <fs/vfs.h>
#include <helix/format.h>
#include <ktest.h>

#define TASKS 4
#define STEPS 1500
#define NAMES 6

#define PATH(s) (s), strlen(s)

static struct {
    struct vfs_start start;
    u32 unexpected; /* a: statuses that no order of the calls explains */
    u32 escapes;    /* a: walks that saw what is outside */
} race;

static void expect(enum hx_status status)
{
    static const enum hx_status fine[] = {HX_OK,          HX_ERR_NOT_FOUND, HX_ERR_EXISTS,
                                          HX_ERR_IS_DIR,  HX_ERR_NOT_DIR,   HX_ERR_NOT_EMPTY,
                                          HX_ERR_INVALID, HX_ERR_BUSY,      HX_ERR_LOOP};
    for (u32 i = 0; i < HX_ARRAY_SIZE(fine); i++) {
        if (status == fine[i]) {
            return;
        }
    }
    __atomic_fetch_add(&race.unexpected, 1, __ATOMIC_RELAXED);
}

static void name_of(u64 r, char *out, size_t size)
{
    format_buffer(out, size, r & 8 ? "race/box/%lu/%lu" : "race/%lu", r % NAMES, (r >> 8) % NAMES);
}

static void step(u64 r)
{
    char a[32], b[32];
    struct file *file;
    u32 rights;
    struct hx_stat stat;
    name_of(r >> 16, a, sizeof(a));
    name_of(r >> 32, b, sizeof(b));
    switch (r % 8) {
    case 0:
        expect(vfs_mkdir(&race.start, PATH(a), 0755));
        break;
    case 1:
        expect(vfs_unlink(&race.start, PATH(a), r & 0x100 ? HX_UNLINK_DIRECTORY : 0));
        break;
    case 2:
    case 3:
        expect(vfs_rename(&race.start, PATH(a), &race.start, PATH(b),
                          r & 0x200 ? HX_RENAME_EXCHANGE : 0));
        break;
    case 4: {
        enum hx_status status =
            vfs_open(&race.start, PATH(a), HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_CREATE, 0644,
                     &file, &rights);
        expect(status);
        if (status == HX_OK) {
            struct vfs_buffer buffer = vfs_kernel_buffer("text", 4);
            HX_IGNORE((int)file_write(file, &buffer), "the name is what counts here");
            file_put(file);
        }
        break;
    }
    case 5: /* a root that is moved about: what is outside is never seen from it */
        if (vfs_open(&race.start, PATH(a), HX_OPEN_READ | HX_OPEN_DIRECTORY, 0, &file, &rights) ==
            HX_OK) {
            struct vfs_start inner;
            HX_IGNORE(file_as_start(file, HX_RIGHTS_ALL, &inner), "it is a directory");
            if (vfs_stat(&inner, PATH("0/../../../../race-secret"), 0, &stat) == HX_OK ||
                vfs_stat(&inner, PATH("1/0/../../../race-secret"), 0, &stat) == HX_OK) {
                __atomic_fetch_add(&race.escapes, 1, __ATOMIC_RELAXED);
            }
            file_put(file);
        }
        break;
    default:
        expect(vfs_stat(&race.start, PATH(a), 0, &stat));
    }
}

static void worker(void *arg)
{
    (void)arg;
    for (u32 i = 0; i < STEPS; i++) {
        step(random_u64());
        if (i % 16 == 0) {
            task_yield();
        }
    }
}

/* Removes all below; deeper than names go is nothing. */
static void remove_all(void)
{
    char path[64];
    static const char *const shapes[] = {"race/box/%u/%u", "race/box/%u", "race/%u"};
    for (u32 pass = 0; pass < 4; pass++) {
        for (u32 s = 0; s < HX_ARRAY_SIZE(shapes); s++) {
            for (u32 i = 0; i < NAMES * NAMES; i++) {
                format_buffer(path, sizeof(path), shapes[s], i / (s ? 1 : NAMES), i % NAMES);
                HX_IGNORE(vfs_unlink(&race.start, PATH(path), 0), "it may not be there");
                HX_IGNORE(vfs_unlink(&race.start, PATH(path), HX_UNLINK_DIRECTORY), "the same");
            }
        }
    }
}

KTEST(vfs, names_survive_a_race)
{
    struct task *tasks[TASKS];
    s64 value;
    char path[32];
    race.start = namespace_start(namespace_boot());
    race.unexpected = race.escapes = 0;
    struct file *secret;
    u32 rights;
    KTEST_STATUS(vfs_mkdir(&race.start, PATH("race"), 0755), HX_OK);
    KTEST_STATUS(vfs_mount(&race.start, PATH("race"), "ramfs", &(struct vfs_mount_request){0}),
                 HX_OK);
    KTEST_STATUS(vfs_mkdir(&race.start, PATH("race/box"), 0755), HX_OK);
    KTEST_STATUS(vfs_open(&race.start, PATH("race-secret"), HX_OPEN_WRITE | HX_OPEN_CREATE, 0,
                          &secret, &rights),
                 HX_OK);
    file_put(secret);
    for (u32 i = 0; i < NAMES; i++) {
        format_buffer(path, sizeof(path), "race/box/%u", i);
        KTEST_STATUS(vfs_mkdir(&race.start, PATH(path), 0755), HX_OK);
    }
    for (u32 i = 0; i < TASKS; i++) {
        KTEST_STATUS(task_create("race", worker, NULL, &tasks[i]), HX_OK);
        task_start(tasks[i]);
    }
    for (u32 i = 0; i < TASKS; i++) {
        KTEST_STATUS(task_join(tasks[i], WAIT_FOREVER, &value), HX_OK);
        task_put(tasks[i]);
    }
    KTEST_EQUAL(race.unexpected, 0);
    KTEST_EQUAL(race.escapes, 0);
    remove_all();
    KTEST_STATUS(vfs_unmount(&race.start, PATH("race")), HX_OK);
    KTEST_STATUS(vfs_unlink(&race.start, PATH("race"), HX_UNLINK_DIRECTORY), HX_OK);
    KTEST_STATUS(vfs_unlink(&race.start, PATH("race-secret"), 0), HX_OK);
}
