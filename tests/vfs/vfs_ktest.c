/* SPDX-License-Identifier: MIT */
/* The VFS over ramfs, in the kernel: attacks on the walk, the cache of names, a model, hand-over of
 * a mounted file system, and every allocation failing once.
 */
#include <core/grace.h>
#include <core/memory.h>
#include <core/random.h>
#include <core/task.h>
#include <core/time.h>
#include <fs/radix.h>
#include <fs/vfs.h>
#include <helix/format.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory/trim.h>

/* A file system of the test's own, mounted on /ktest, and where walks in it start. */
static struct {
    struct vfs_start top;
    struct file *dir;
    struct vfs_start start;
} fix;

#define PATH(s) (s), strlen(s)

static void setup(void)
{
    u32 rights;
    fix.top = namespace_start(namespace_boot());
    KTEST_STATUS(vfs_mkdir(&fix.top, PATH("ktest"), 0755), HX_OK);
    KTEST_STATUS(vfs_mount(&fix.top, PATH("ktest"), "ramfs", &(struct vfs_mount_request){0}),
                 HX_OK);
    KTEST_STATUS(vfs_open(&fix.top, PATH("ktest"), HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_DIRECTORY,
                          0, &fix.dir, &rights),
                 HX_OK);
    KTEST_STATUS(file_as_start(fix.dir, HX_RIGHTS_ALL, &fix.start), HX_OK);
}

static void teardown(void)
{
    file_put(fix.dir);
    KTEST_STATUS(vfs_unmount(&fix.top, PATH("ktest")), HX_OK);
    KTEST_STATUS(vfs_unlink(&fix.top, PATH("ktest"), HX_UNLINK_DIRECTORY), HX_OK);
}

static enum hx_status make(const char *path, const char *text)
{
    struct file *file;
    u32 rights;
    enum hx_status status =
        vfs_open(&fix.start, PATH(path), HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_TRUNCATE, 0644,
                 &file, &rights);
    if (status != HX_OK) {
        return status;
    }
    struct vfs_buffer b = vfs_kernel_buffer(text, strlen(text));
    s64 n = b.size ? file_write(file, &b) : 0;
    file_put(file);
    return n == (s64)b.size ? HX_OK : n < 0 ? (enum hx_status)n : HX_ERR_NO_SPACE;
}

static enum hx_status open_at(const struct vfs_start *start, const char *path, struct file **out)
{
    u32 rights;
    return vfs_open(start, PATH(path), HX_OPEN_READ, 0, out, &rights);
}

static enum hx_status find(const struct vfs_start *start, const char *path)
{
    struct file *file;
    enum hx_status status = open_at(start, path, &file);
    if (status == HX_OK) {
        file_put(file);
    }
    return status;
}

static void holds(const char *path, const char *text)
{
    char buffer[128];
    struct file *file;
    KTEST_STATUS(open_at(&fix.start, path, &file), HX_OK);
    struct vfs_buffer b = vfs_kernel_buffer(buffer, sizeof(buffer));
    s64 n = file_read(file, &b);
    file_put(file);
    KTEST_EQUAL(n, strlen(text));
    KTEST_ASSERT(memcmp(buffer, text, strlen(text)) == 0);
}

KTEST(vfs, walk_stays_in_its_root)
{
    struct file *box, *deep;
    u32 rights;
    struct vfs_start boxed, inner;
    const u32 how = HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_DIRECTORY;
    KTEST_CALL(setup());
    KTEST_STATUS(make("secret", "s"), HX_OK);
    KTEST_STATUS(vfs_mkdir(&fix.start, PATH("box"), 0755), HX_OK);
    KTEST_STATUS(vfs_mkdir(&fix.start, PATH("box/a"), 0755), HX_OK);
    KTEST_STATUS(vfs_mkdir(&fix.start, PATH("box/a/b"), 0755), HX_OK);
    KTEST_STATUS(vfs_open(&fix.start, PATH("box"), how, 0, &box, &rights), HX_OK);
    KTEST_STATUS(file_as_start(box, HX_RIGHTS_ALL, &boxed), HX_OK);

    static const char *const ways_out[] = {
        "../secret", "/../secret",      "a/../../secret",       "a/b/../../../secret",
        "/secret",   "./../././secret", "a/b/../..//../secret", "link",
        "a/up",      "a/long"};
    KTEST_STATUS(vfs_symlink(&boxed, PATH("link"), PATH("../secret")), HX_OK);
    KTEST_STATUS(vfs_symlink(&boxed, PATH("a/up"), PATH("/../../secret")), HX_OK);
    KTEST_STATUS(vfs_symlink(&boxed, PATH("a/long"), PATH("b/../../link")), HX_OK);
    for (u32 i = 0; i < HX_ARRAY_SIZE(ways_out); i++) {
        KTEST_STATUS(find(&boxed, ways_out[i]), HX_ERR_NOT_FOUND);
    }
    /* ".." is clamped, so this is the box's own. */
    KTEST_STATUS(vfs_mkdir(&boxed, PATH("../../inside"), 0755), HX_OK);
    KTEST_STATUS(find(&fix.start, "box/inside"), HX_ERR_IS_DIR);

    /* A directory that is moved out from under a walk leads nowhere, not out. */
    KTEST_STATUS(vfs_open(&boxed, PATH("a/b"), how, 0, &deep, &rights), HX_OK);
    KTEST_STATUS(file_as_start(deep, HX_RIGHTS_ALL, &inner), HX_OK);
    KTEST_STATUS(vfs_symlink(&inner, PATH("trap"), PATH("../secret")), HX_OK);
    KTEST_STATUS(vfs_rename(&fix.start, PATH("box/a/b"), &fix.start, PATH("b"), 0), HX_OK);
    KTEST_STATUS(find(&inner, "../secret"), HX_ERR_NOT_FOUND);
    KTEST_STATUS(find(&inner, "trap"), HX_ERR_NOT_FOUND);
    KTEST_STATUS(find(&boxed, "a/b"), HX_ERR_NOT_FOUND);
    file_put(deep);

    /* Rights of the start, not of the file, decide. */
    boxed.rights = HX_RIGHT_READ;
    struct file *file;
    KTEST_STATUS(vfs_open(&boxed, PATH("new"), HX_OPEN_READ | HX_OPEN_CREATE, 0, &file, &rights),
                 HX_ERR_ACCESS);
    KTEST_STATUS(vfs_unlink(&boxed, PATH("link"), 0), HX_ERR_ACCESS);
    KTEST_STATUS(vfs_mount(&boxed, PATH("a"), "ramfs", &(struct vfs_mount_request){0}),
                 HX_ERR_ACCESS);
    file_put(box);
    KTEST_CALL(teardown());
}

KTEST(vfs, links_and_lengths_end)
{
    char name[16], text[16];
    KTEST_CALL(setup());
    KTEST_STATUS(make("end", "e"), HX_OK);
    /* A chain of as many links as a walk follows, and one more. */
    for (u32 i = 0; i <= HX_SYMLINKS_MAX; i++) {
        format_buffer(name, sizeof(name), "l%u", i);
        format_buffer(text, sizeof(text), i == 0 ? "end" : "l%u", i - 1);
        KTEST_STATUS(vfs_symlink(&fix.start, PATH(name), PATH(text)), HX_OK);
    }
    format_buffer(name, sizeof(name), "l%u", HX_SYMLINKS_MAX - 1);
    KTEST_STATUS(find(&fix.start, name), HX_OK);
    format_buffer(name, sizeof(name), "l%u", HX_SYMLINKS_MAX);
    KTEST_STATUS(find(&fix.start, name), HX_ERR_LOOP);
    KTEST_STATUS(vfs_symlink(&fix.start, PATH("self"), PATH("./self/x")), HX_OK);
    KTEST_STATUS(find(&fix.start, "self"), HX_ERR_LOOP);
    KTEST_STATUS(vfs_symlink(&fix.start, PATH("dir"), PATH(".")), HX_OK);
    KTEST_STATUS(find(&fix.start, "dir/dir/dir/end"), HX_OK);

    char *path = kmalloc(HX_PATH_MAX + 1);
    KTEST_ASSERT(path);
    /* A link whose target and what follows it are longer than any path. */
    memset(path, '/', HX_PATH_MAX);
    KTEST_STATUS(vfs_symlink(&fix.start, PATH("far"), path, HX_PATH_MAX), HX_OK);
    KTEST_STATUS(find(&fix.start, "far/end"), HX_ERR_NAME_TOO_LONG);
    memcpy(path, "end", 3);
    struct file *file;
    u32 rights;
    KTEST_STATUS(vfs_open(&fix.start, path, HX_PATH_MAX, HX_OPEN_READ, 0, &file, &rights),
                 HX_ERR_NOT_DIR);
    KTEST_STATUS(vfs_open(&fix.start, path, HX_PATH_MAX + 1, HX_OPEN_READ, 0, &file, &rights),
                 HX_ERR_NAME_TOO_LONG);
    KTEST_STATUS(vfs_open(&fix.start, "e\0d", 3, HX_OPEN_READ, 0, &file, &rights), HX_ERR_INVALID);
    kfree(path);
    KTEST_CALL(teardown());
}

KTEST(vfs, names_are_forgotten_within_bounds)
{
    char name[24];
    struct dcache_usage before, after;
    KTEST_CALL(setup());
    dcache_usage_read(&before);
    dcache_limit_set(64);
    for (u32 i = 0; i < 2000; i++) { /* absent names, and present ones that nobody holds */
        format_buffer(name, sizeof(name), "%s%u", i % 2 ? "absent" : "there", i);
        if (i % 2) {
            KTEST_STATUS(find(&fix.start, name), HX_ERR_NOT_FOUND);
        } else {
            KTEST_STATUS(make(name, ""), HX_OK);
        }
    }
    dcache_usage_read(&after);
    dcache_limit_set(before.limit);
    KTEST_ASSERT(after.count < before.count + 64 + 16);
    KTEST_ASSERT(after.misses >= before.misses + 2000);
    for (u32 i = 0; i < 2000; i += 2) { /* what was forgotten is still there */
        format_buffer(name, sizeof(name), "there%u", i);
        KTEST_STATUS(find(&fix.start, name), HX_OK);
        KTEST_STATUS(vfs_unlink(&fix.start, PATH(name), 0), HX_OK);
    }
    /* An absent name that comes to be is found at once. */
    KTEST_STATUS(find(&fix.start, "late"), HX_ERR_NOT_FOUND);
    KTEST_STATUS(make("late", "x"), HX_OK);
    KTEST_CALL(holds("late", "x"));
    KTEST_CALL(teardown());
}

KTEST(vfs, radix_is_a_sparse_array)
{
    /* Against a plain list of pairs, with keys of every magnitude. */
    enum { N = 256 };
    static u64 keys[N], values[N];
    u32 count = 0;
    struct radix tree = {0};
    for (u32 round = 0; round < 4000; round++) {
        u64 r = random_u64(), key = random_u64() >> (r % 64), i = 0;
        if (r >> 60 == 0 && count) {
            key = keys[random_u64() % count];
        }
        while (i < count && keys[i] != key) {
            i++;
        }
        if ((r >> 32) % 3 && count < N) {
            KTEST_STATUS(radix_set(&tree, key, r | 1), HX_OK);
            keys[i] = key;
            values[i] = r | 1;
            count += i == count;
        } else {
            KTEST_EQUAL(radix_remove(&tree, key), i < count ? values[i] : 0);
            if (i < count) {
                keys[i] = keys[--count];
                values[i] = values[count];
            }
        }
        u64 from = random_u64() >> (r % 61), at = from, least = UINT64_MAX, value = 0;
        for (u32 k = 0; k < count; k++) {
            KTEST_ASSERT(k % 8 || radix_get(&tree, keys[k]) == values[k]);
            if (keys[k] >= from && keys[k] <= least) {
                least = keys[k];
                value = values[k];
            }
        }
        KTEST_EQUAL(radix_next(&tree, &at), value);
        KTEST_ASSERT(value == 0 || at == least);
    }
    while (count) {
        count--;
        KTEST_EQUAL(radix_remove(&tree, keys[count]), values[count]);
    }
    KTEST_EQUAL(tree.root, 0);
}

/* A model of one directory: what each name holds, and a directory below it. */
enum { MODEL_NAMES = 24, MODEL_TEXT = 3 * HX_PAGE_SIZE };

static struct {
    bool there;
    u32 file; /* which content */
} model_names[MODEL_NAMES];
static struct {
    u32 links, size;
    u8 *text;
} model_files[MODEL_NAMES];

static void model_path(u32 name, char *out, size_t size)
{
    format_buffer(out, size, name % 3 ? "%u" : "sub/%u", name);
}

static u32 model_free_file(void)
{
    u32 i = 0;
    while (model_files[i].links) {
        i++;
    }
    memset(model_files[i].text, 0, MODEL_TEXT);
    model_files[i].size = 0;
    return i;
}

static void model_drop(u32 name)
{
    model_files[model_names[name].file].links--;
    model_names[name].there = false;
}

/* Writes, reads or cuts the file behind a name, and looks whether the model agrees. */
static void model_content(u32 name, const char *path, u64 r)
{
    static u8 buffer[MODEL_TEXT];
    u32 f = model_names[name].file;
    struct file *file;
    u32 rights;
    KTEST_STATUS(vfs_open(&fix.start, PATH(path), HX_OPEN_READ | HX_OPEN_WRITE, 0, &file, &rights),
                 HX_OK);
    u32 at = (u32)(r >> 8) % MODEL_TEXT, size = (u32)(r >> 24) % (MODEL_TEXT - at);
    if (r % 3 == 0) {
        random_fill(buffer, 64);
        for (u32 i = 64; i < size; i++) {
            buffer[i] = buffer[i % 61] ^ (u8)i;
        }
        struct vfs_buffer b = vfs_kernel_buffer(buffer, size);
        KTEST_EQUAL(file_write_at(file, &b, at), size);
        memcpy(model_files[f].text + at, buffer, size);
        if (size && at + size > model_files[f].size) {
            model_files[f].size = at + size;
        }
    } else if (r % 3 == 1) {
        KTEST_STATUS(file_truncate(file, at), HX_OK);
        memset(model_files[f].text + at, 0, MODEL_TEXT - at);
        model_files[f].size = at;
    }
    memset(buffer, 0xee, sizeof(buffer));
    struct vfs_buffer b = vfs_kernel_buffer(buffer, sizeof(buffer));
    s64 n = file_read_at(file, &b, 0);
    file_put(file);
    KTEST_EQUAL(n, model_files[f].size);
    KTEST_ASSERT(memcmp(buffer, model_files[f].text, model_files[f].size) == 0);
}

static void model_step(u64 r)
{
    char path[16], other[16];
    u32 a = (u32)(r >> 48) % MODEL_NAMES, b = (u32)(r >> 40) % MODEL_NAMES;
    model_path(a, path, sizeof(path));
    model_path(b, other, sizeof(other));
    bool there = model_names[a].there, other_there = model_names[b].there;
    switch (r % 7) {
    case 0: {
        struct file *file;
        u32 rights;
        enum hx_status status =
            vfs_open(&fix.start, PATH(path), HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_EXCLUSIVE,
                     0644, &file, &rights);
        KTEST_STATUS(status, there ? HX_ERR_EXISTS : HX_OK);
        if (status == HX_OK) {
            file_put(file);
            model_names[a].file = model_free_file();
            model_names[a].there = true;
            model_files[model_names[a].file].links = 1;
        }
        break;
    }
    case 1:
        KTEST_STATUS(vfs_unlink(&fix.start, PATH(path), 0), there ? HX_OK : HX_ERR_NOT_FOUND);
        if (there) {
            model_drop(a);
        }
        break;
    case 2:
        KTEST_STATUS(vfs_rename(&fix.start, PATH(path), &fix.start, PATH(other), 0),
                     there ? HX_OK : HX_ERR_NOT_FOUND);
        if (there && a != b && !(other_there && model_names[a].file == model_names[b].file)) {
            if (other_there) {
                model_drop(b);
            }
            model_names[b] = model_names[a];
            model_names[a].there = false;
        }
        break;
    case 3:
        KTEST_STATUS(
            vfs_rename(&fix.start, PATH(path), &fix.start, PATH(other), HX_RENAME_EXCHANGE),
            there && other_there ? HX_OK : HX_ERR_NOT_FOUND);
        if (there && other_there) {
            u32 file = model_names[a].file;
            model_names[a].file = model_names[b].file;
            model_names[b].file = file;
        }
        break;
    case 4: {
        enum hx_status status = vfs_link(&fix.start, PATH(path), &fix.start, PATH(other));
        KTEST_STATUS(status, !there ? HX_ERR_NOT_FOUND : other_there ? HX_ERR_EXISTS : HX_OK);
        if (status == HX_OK) {
            model_names[b] = model_names[a];
            model_files[model_names[a].file].links++;
        }
        break;
    }
    default: {
        struct hx_stat stat;
        KTEST_STATUS(vfs_stat(&fix.start, PATH(path), 0, &stat), there ? HX_OK : HX_ERR_NOT_FOUND);
        if (there) {
            KTEST_EQUAL(stat.nlink, model_files[model_names[a].file].links);
            KTEST_CALL(model_content(a, path, r >> 3));
        }
    }
    }
}

static void model_run(u32 steps)
{
    for (u32 i = 0; i < steps; i++) {
        KTEST_CALL(model_step(random_u64()));
    }
}

static void model_begin(void)
{
    KTEST_STATUS(vfs_mkdir(&fix.start, PATH("sub"), 0755), HX_OK);
    for (u32 i = 0; i < MODEL_NAMES; i++) {
        model_names[i].there = false;
        model_files[i].links = 0;
        model_files[i].text = kmalloc(MODEL_TEXT);
        KTEST_ASSERT(model_files[i].text);
    }
}

static void model_end(void)
{
    for (u32 i = 0; i < MODEL_NAMES; i++) {
        kfree(model_files[i].text);
    }
}

KTEST(vfs, ramfs_agrees_with_a_model)
{
    KTEST_CALL(setup());
    KTEST_CALL(model_begin());
    dcache_limit_set(8); /* so that the file system is asked, too */
    model_run(3000);
    dcache_limit_set(4096);
    KTEST_CALL(model_end());
    KTEST_CALL(teardown());
}

KTEST(vfs, file_system_is_exchanged_with_files_open)
{
    struct file *file, *gone;
    u32 rights;
    char target[32];
    size_t n;
    struct vfs_buffer b;
    KTEST_CALL(setup());
    KTEST_CALL(model_begin());
    model_run(300);
    const u32 how = HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_CREATE;
    KTEST_STATUS(vfs_open(&fix.start, PATH("held"), how, 0600, &file, &rights), HX_OK);
    KTEST_STATUS(vfs_open(&fix.start, PATH("gone"), how, 0600, &gone, &rights), HX_OK);
    KTEST_STATUS(vfs_unlink(&fix.start, PATH("gone"), 0), HX_OK);
    KTEST_STATUS(vfs_symlink(&fix.start, PATH("ln"), PATH("a target")), HX_OK);
    struct fs_name colour = {"user.colour", 11};
    KTEST_STATUS(file_xattr_set(file, colour, "blue", 4, 0), HX_OK);
    for (u32 round = 0; round < 20; round++) {
        b = vfs_kernel_buffer("12345678", 8);
        KTEST_EQUAL(file_write(file, &b), 8);
        KTEST_EQUAL(file_write(gone, &b), 8);
        KTEST_STATUS(vfs_exchange(&fix.start, PATH("."), &ramfs_ops), HX_OK);
        model_run(50);
    }
    struct hx_stat stat;
    KTEST_STATUS(file_stat(file, &stat), HX_OK);
    KTEST_EQUAL(stat.bytes, 160);
    KTEST_STATUS(vfs_readlink(&fix.start, PATH("ln"), target, sizeof(target), &n), HX_OK);
    KTEST_ASSERT(n == 8 && memcmp(target, "a target", 8) == 0);
    KTEST_STATUS(file_xattr_get(file, colour, target, sizeof(target), &n), HX_OK);
    KTEST_ASSERT(n == 4 && memcmp(target, "blue", 4) == 0);
    KTEST_STATUS(vfs_exchange(&fix.top, PATH("proc"), &ramfs_ops), HX_ERR_NOT_SUPPORTED);
    file_put(file);
    file_put(gone);
    KTEST_CALL(model_end());
    KTEST_CALL(teardown());
}

KTEST(vfs, damaged_state_is_refused)
{
    /* Every truncation, and every byte changed: refused, or an instance that can be taken apart. */
    void *fs = NULL, *other = NULL;
    struct fs_attr root, attr;
    struct fs_mount_request request = {.page_limit = 100};
    size_t size = 0, used = 0;
    u64 before = frame_free_count();
    KTEST_STATUS(ramfs_ops.mount(&request, &fs, &root), HX_OK);
    struct fs_create how = {.mode = HX_MODE_FILE | 0644};
    KTEST_STATUS(ramfs_ops.create(fs, root.ino, (struct fs_name){"file", 4}, &how, &attr), HX_OK);
    KTEST_STATUS(ramfs_ops.xattr_set(fs, attr.ino, (struct fs_name){"x", 1}, "value", 5, 0), HX_OK);
    how = (struct fs_create){.mode = HX_MODE_LINK | 0777, .target = "there", .target_size = 5};
    KTEST_STATUS(ramfs_ops.create(fs, root.ino, (struct fs_name){"link", 4}, &how, &attr), HX_OK);
    KTEST_STATUS(ramfs_ops.save_state(fs, NULL, 0, &size), HX_ERR_MESSAGE_SIZE);
    u8 *blob = kmalloc(size);
    KTEST_ASSERT(blob);
    KTEST_STATUS(ramfs_ops.save_state(fs, blob, size, &used), HX_OK);
    KTEST_EQUAL(used, size);
    KTEST_STATUS(ramfs_ops.restore_state(blob, size, 99, &other), HX_ERR_ABI);
    for (size_t n = 0; n < size; n++) {
        KTEST_STATUS(ramfs_ops.restore_state(blob, n, 1, &other), HX_ERR_CORRUPT);
    }
    u32 refused = 0;
    for (size_t i = 0; i < size * 8; i++) {
        blob[i / 8] ^= (u8)(1u << i % 8);
        enum hx_status status = ramfs_ops.restore_state(blob, size, 1, &other);
        if (status == HX_OK) {
            KTEST_STATUS(ramfs_ops.unmount(other), HX_OK);
        }
        refused += status != HX_OK;
        blob[i / 8] ^= (u8)(1u << i % 8);
    }
    KTEST_ASSERT(refused > 0);
    KTEST_STATUS(ramfs_ops.restore_state(blob, size, 1, &other), HX_OK);
    KTEST_STATUS(ramfs_ops.unmount(other), HX_OK);
    kfree(blob);
    KTEST_STATUS(ramfs_ops.unmount(fs), HX_OK);
    memory_trim();
    KTEST_ASSERT(frame_free_count() + 64 > before);
}

/* Everything once, as far as memory goes; what was made is gone afterwards. */
static enum hx_status exercise(void)
{
    struct file *file, *r, *w;
    u32 rights;
    struct vfs_buffer b = vfs_kernel_buffer("0123456789", 10);
    enum hx_status status = vfs_mkdir(&fix.start, PATH("d"), 0755);
    if (status == HX_OK) {
        status = vfs_symlink(&fix.start, PATH("d/link"),
                             PATH("../d/a-name-that-is-too-long-for-its-dentry-to-hold"));
    }
    if (status == HX_OK) {
        status = vfs_open(&fix.start, PATH("d/link"), HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_CREATE,
                          0644, &file, &rights);
    }
    if (status == HX_OK) {
        s64 n = file_write_at(file, &b, HX_PAGE_SIZE - 5);
        /* What was written before memory ended counts. */
        status = n == 10 ? HX_OK : n < 0 ? (enum hx_status)n : HX_ERR_NO_MEMORY;
        if (status == HX_OK) {
            n = file_write_at(file, &b, HX_GIB(64));
            status = n < 0 ? (enum hx_status)n : HX_OK;
        }
        if (status == HX_OK) {
            status = file_xattr_set(file, (struct fs_name){"user.x", 6}, "value", 5, 0);
        }
        file_put(file);
    }
    if (status == HX_OK) {
        status = vfs_link(&fix.start, PATH("d/a-name-that-is-too-long-for-its-dentry-to-hold"),
                          &fix.start, PATH("d/second"));
    }
    if (status == HX_OK) {
        status = vfs_rename(&fix.start, PATH("d/second"), &fix.start, PATH("third"), 0);
    }
    if (status == HX_OK) {
        status = vfs_exchange(&fix.start, PATH("."), &ramfs_ops);
    }
    if (status == HX_OK) {
        status = pipe_create(0, &r, &w);
        if (status == HX_OK) {
            file_put(r);
            file_put(w);
        }
    }
    return status;
}

static void clean(void)
{
    static const char *const names[] = {"third", "d/second", "d/link",
                                        "d/a-name-that-is-too-long-for-its-dentry-to-hold"};
    for (u32 i = 0; i < HX_ARRAY_SIZE(names); i++) {
        enum hx_status status = vfs_unlink(&fix.start, PATH(names[i]), 0);
        KTEST_ASSERT(status == HX_OK || status == HX_ERR_NOT_FOUND);
    }
    enum hx_status status = vfs_unlink(&fix.start, PATH("d"), HX_UNLINK_DIRECTORY);
    KTEST_ASSERT(status == HX_OK || status == HX_ERR_NOT_FOUND);
}

static void fail_in_turn(void (*fail_after)(u32 n))
{
    u32 failures = 0;
    KTEST_CALL(setup());
    for (u32 n = 1;; n++) {
        memory_trim(); /* so that there is something to allocate */
        fail_after(n);
        enum hx_status status = exercise();
        fail_after(0);
        KTEST_CALL(clean());
        if (status == HX_OK) {
            break;
        }
        failures++;
        KTEST_STATUS(status, HX_ERR_NO_MEMORY);
        KTEST_ASSERT(n < 200);
    }
    KTEST_ASSERT(failures > 3);
    /* Nothing is lost: the file system counts its root alone. */
    struct hx_fs_stat stat;
    KTEST_STATUS(vfs_statfs(&fix.start, PATH("."), &stat), HX_OK);
    KTEST_EQUAL(stat.files, 1);
    KTEST_EQUAL(stat.free_blocks, stat.blocks);
    KTEST_CALL(teardown());
}

KTEST(vfs, every_heap_allocation_may_fail)
{
    fail_in_turn(heap_fail_after);
}

KTEST(vfs, every_frame_allocation_may_fail)
{
    fail_in_turn(frame_fail_after);
}

KTEST(vfs, what_is_mounted_and_filled_comes_back)
{
    char name[16];
    u64 before = 0;
    for (u32 round = 0; round < 3; round++) {
        KTEST_CALL(setup());
        for (u32 i = 0; i < 100; i++) {
            format_buffer(name, sizeof(name), "file%u", i);
            KTEST_STATUS(make(name, "text"), HX_OK);
        }
        KTEST_CALL(teardown());
        grace_wait();
        grace_wait();
        task_reap();
        memory_trim();
        if (round == 1) {
            before = frame_free_count();
        }
    }
    KTEST_EQUAL(frame_free_count(), before);
}

KTEST(vfs, memory_file_system_has_a_limit)
{
    struct fs_mount_request request = {.page_limit = 20};
    struct fs_attr root, attr;
    struct fs_create how = {.mode = HX_MODE_FILE | 0644};
    void *fs;
    char name[16];
    u32 made = 0;
    enum hx_status status = HX_OK;
    KTEST_STATUS(ramfs_ops.mount(&request, &fs, &root), HX_OK);
    while (status == HX_OK) {
        size_t n = format_buffer(name, sizeof(name), "f%u", made);
        status = ramfs_ops.create(fs, root.ino, (struct fs_name){name, (u32)n}, &how, &attr);
        made += status == HX_OK;
        KTEST_ASSERT(made < 20);
    }
    KTEST_STATUS(status, HX_ERR_NO_SPACE);
    KTEST_EQUAL(made, 9); /* a node and an entry each, and the root */
    KTEST_STATUS(ramfs_ops.xattr_set(fs, root.ino, (struct fs_name){"x", 1}, "v", 1, 0), HX_OK);
    KTEST_STATUS(ramfs_ops.xattr_set(fs, root.ino, (struct fs_name){"y", 1}, "v", 1, 0),
                 HX_ERR_NO_SPACE);
    u32 nlink;
    KTEST_STATUS(ramfs_ops.unlink(fs, root.ino, (struct fs_name){"f0", 2}, false, &nlink), HX_OK);
    KTEST_STATUS(ramfs_ops.unmount(fs), HX_OK);
}
