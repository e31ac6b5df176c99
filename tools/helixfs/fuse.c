/* SPDX-License-Identifier: MIT */
/* helixfs-fuse: mounts an image on Linux through FUSE's low-level interface. Inode numbers are
 * those of the file system; the kernel's lookup counts are holds of hfs_inode; permissions are the
 * kernel's business (default_permissions).
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>

const char *tool_name = "helixfs-fuse";

static const char help[] =
    "usage: helixfs-fuse [OPTIONS] IMAGE DIRECTORY\n"
    "Mounts a HelixFS image; fusermount3 -u DIRECTORY unmounts it.\n"
    "  --subvolume NAME    or a snapshot, read-only (default main)\n"
    "  --key-file FILE     of an encrypted file system; - is standard input\n"
    "  --read-only         change nothing, not even what a crash left in the log\n"
    "  --allow-other       other users may enter (needs user_allow_other in fuse.conf)\n"
    "  --foreground        stay attached to the terminal\n"
    "  --help              this text\n"
    "Exit status: 0 unmounted, all of it durable; 1 failed; 2 wrong usage.\n";

static struct {
    struct hfs *fs;
    struct hfs_subvol *sv;
    struct hfs_inode *root;
} mounted;

#define CACHE_SECONDS 1.0

static int errno_of(enum hx_status status)
{
    static const struct {
        enum hx_status status;
        int error;
    } map[] = {{HX_OK, 0},
               {HX_ERR_INVALID, EINVAL},
               {HX_ERR_NO_MEMORY, ENOMEM},
               {HX_ERR_NOT_FOUND, ENOENT},
               {HX_ERR_EXISTS, EEXIST},
               {HX_ERR_NOT_SUPPORTED, EOPNOTSUPP},
               {HX_ERR_BUSY, EBUSY},
               {HX_ERR_OVERFLOW, EFBIG},
               {HX_ERR_NO_SPACE, ENOSPC},
               {HX_ERR_ACCESS, EPERM},
               {HX_ERR_NOT_DIR, ENOTDIR},
               {HX_ERR_IS_DIR, EISDIR},
               {HX_ERR_NOT_EMPTY, ENOTEMPTY},
               {HX_ERR_NAME_TOO_LONG, ENAMETOOLONG},
               {HX_ERR_LOOP, EINVAL}, /* of rename: a directory into itself */
               {HX_ERR_CROSS_DEVICE, EXDEV},
               {HX_ERR_READ_ONLY, EROFS},
               {HX_ERR_TOO_MANY_LINKS, EMLINK},
               {HX_ERR_MESSAGE_SIZE, ERANGE},
               {HX_ERR_END, ENXIO}};
    for (u32 i = 0; i < HX_ARRAY_SIZE(map); i++) {
        if (map[i].status == status) {
            return map[i].error;
        }
    }
    return EIO;
}

static void reply(fuse_req_t req, enum hx_status status)
{
    fuse_reply_err(req, errno_of(status));
}

static struct hfs_name name_of(const char *s)
{
    return (struct hfs_name){s, strlen(s)};
}

/* The kernel names an inode by the pointer that it was given: each lookup holds it once more. */
static struct hfs_inode *inode_of(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? mounted.root : (struct hfs_inode *)(uintptr_t)ino;
}

static struct timespec time_of(s64 ns)
{
    s64 sec = ns / 1000000000, rest = ns % 1000000000;
    return rest >= 0 ? (struct timespec){sec, rest} : (struct timespec){sec - 1, rest + 1000000000};
}

static s64 ns_of(struct timespec t)
{
    return (s64)t.tv_sec * 1000000000 + t.tv_nsec;
}

static enum hx_status stat_of(struct hfs_inode *inode, struct stat *st)
{
    struct hfs_attr a;
    enum hx_status status = hfs_getattr(inode, &a);
    *st = (struct stat){.st_ino = a.ino,
                        .st_mode = a.mode,
                        .st_nlink = a.nlink,
                        .st_uid = a.uid,
                        .st_gid = a.gid,
                        .st_rdev = a.rdev,
                        .st_size = (off_t)a.size,
                        .st_blocks = (blkcnt_t)(a.blocks * 8),
                        .st_blksize = BDEV_BLOCK,
                        .st_atim = time_of(a.atime_ns),
                        .st_mtim = time_of(a.mtime_ns),
                        .st_ctim = time_of(a.ctime_ns)};
    return status;
}

static enum hx_status entry_of(struct hfs_inode *inode, struct fuse_entry_param *e)
{
    memset(e, 0, sizeof(*e));
    e->ino = (fuse_ino_t)(uintptr_t)inode;
    e->attr_timeout = e->entry_timeout = CACHE_SECONDS;
    return stat_of(inode, &e->attr);
}

/* Hands a held inode to the kernel. */
static void reply_entry(fuse_req_t req, enum hx_status status, struct hfs_inode *inode)
{
    struct fuse_entry_param e;
    if (status == HX_OK) {
        status = entry_of(inode, &e);
        if (status == HX_OK && fuse_reply_entry(req, &e) == 0) {
            return;
        }
        hfs_inode_put(inode);
    }
    if (status != HX_OK) {
        reply(req, status);
    }
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct hfs_inode *inode = NULL;
    enum hx_status status = hfs_lookup(inode_of(parent), name_of(name), &inode);
    reply_entry(req, status, inode);
}

static void forget(fuse_ino_t ino, u64 count)
{
    for (u64 i = 0; ino != FUSE_ROOT_ID && i < count; i++) {
        hfs_inode_put(inode_of(ino));
    }
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    forget(ino, count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++) {
        forget(forgets[i].ino, forgets[i].nlookup);
    }
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st;
    (void)fi;
    enum hx_status status = stat_of(inode_of(ino), &st);
    if (status == HX_OK) {
        fuse_reply_attr(req, &st, CACHE_SECONDS);
    } else {
        reply(req, status);
    }
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    struct hfs_inode *inode = inode_of(ino);
    enum hx_status status = HX_OK;
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
        status = st->st_size < 0 ? HX_ERR_INVALID : hfs_truncate(inode, (u64)st->st_size);
    }
    struct hfs_attr attr = {.mode = st->st_mode,
                            .uid = st->st_uid,
                            .gid = st->st_gid,
                            .atime_ns = ns_of(st->st_atim),
                            .mtime_ns = ns_of(st->st_mtim)};
    s64 now = 0;
    if ((to_set & (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)) != 0) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        now = ns_of(t);
    }
    attr.atime_ns = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0 ? now : attr.atime_ns;
    attr.mtime_ns = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0 ? now : attr.mtime_ns;
    u32 mask =
        ((to_set & FUSE_SET_ATTR_MODE) != 0 ? HFS_SET_MODE : 0) |
        ((to_set & FUSE_SET_ATTR_UID) != 0 ? HFS_SET_UID : 0) |
        ((to_set & FUSE_SET_ATTR_GID) != 0 ? HFS_SET_GID : 0) |
        ((to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) != 0 ? HFS_SET_ATIME : 0) |
        ((to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) != 0 ? HFS_SET_MTIME : 0);
    if (status == HX_OK && mask != 0) {
        status = hfs_setattr(inode, &attr, mask);
    }
    if (status == HX_OK) {
        op_getattr(req, ino, fi);
    } else {
        reply(req, status);
    }
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char buf[HFS_LINK_MAX + 1];
    size_t len;
    enum hx_status status = hfs_readlink(inode_of(ino), buf, HFS_LINK_MAX, &len);
    if (status == HX_OK) {
        buf[len] = '\0';
        fuse_reply_readlink(req, buf);
    } else {
        reply(req, status);
    }
}

static enum hx_status make(fuse_req_t req, fuse_ino_t parent, const char *name, u32 mode, u64 rdev,
                           const char *target, struct hfs_inode **out)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct hfs_owner owner = {ctx->uid, ctx->gid};
    return hfs_create(inode_of(parent), name_of(name), mode, owner, rdev, name_of(target), out);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct hfs_inode *inode = NULL;
    enum hx_status status = make(req, parent, name, mode, rdev, "", &inode);
    reply_entry(req, status, inode);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct hfs_inode *inode = NULL;
    enum hx_status status = make(req, parent, name, S_IFDIR | (mode & 07777), 0, "", &inode);
    reply_entry(req, status, inode);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct hfs_inode *inode = NULL;
    enum hx_status status = make(req, parent, name, S_IFLNK | 0777, 0, target, &inode);
    reply_entry(req, status, inode);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply(req, hfs_unlink(inode_of(parent), name_of(name)));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply(req, hfs_rmdir(inode_of(parent), name_of(name)));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                      const char *to, unsigned int flags)
{
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) {
        reply(req, HX_ERR_INVALID);
        return;
    }
    u32 how = ((flags & RENAME_NOREPLACE) != 0 ? HFS_RENAME_NOREPLACE : 0) |
              ((flags & RENAME_EXCHANGE) != 0 ? HFS_RENAME_EXCHANGE : 0);
    reply(req, hfs_rename(inode_of(parent), name_of(name), inode_of(to_parent), name_of(to), how));
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct hfs_inode *inode = inode_of(ino);
    enum hx_status status = hfs_link(inode, inode_of(parent), name_of(name));
    if (status == HX_OK) {
        hfs_inode_hold(inode);
    }
    reply_entry(req, status, inode);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->keep_cache = 1; /* nobody else changes the image */
    fuse_reply_open(req, fi);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct hfs_inode *inode = NULL;
    struct fuse_entry_param e;
    enum hx_status status = make(req, parent, name, S_IFREG | (mode & 07777), 0, "", &inode);
    if (status == HX_OK) {
        status = entry_of(inode, &e);
        if (status == HX_OK && fuse_reply_create(req, &e, fi) == 0) {
            return;
        }
        hfs_inode_put(inode);
    }
    if (status != HX_OK) {
        reply(req, status);
    }
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    (void)fi;
    char *buf = malloc(size);
    size_t n = 0;
    enum hx_status status =
        buf != NULL ? hfs_read(inode_of(ino), (u64)off, buf, size, &n) : HX_ERR_NO_MEMORY;
    if (status == HX_OK) {
        fuse_reply_buf(req, buf, n);
    } else {
        reply(req, status);
    }
    free(buf);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    (void)fi;
    size_t n = 0;
    enum hx_status status = hfs_write(inode_of(ino), (u64)off, buf, size, &n);
    if (status == HX_OK) {
        fuse_reply_write(req, n);
    } else {
        reply(req, status);
    }
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    (void)fi;
    reply(req, hfs_fsync(inode_of(ino)));
}

/* close: what is older than a commit interval goes to the disk; errors are fsync's to report. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    reply(req, hfs_tick(mounted.fs));
}

struct dir_fill {
    fuse_req_t req;
    char *buf;
    size_t size, used;
    fuse_ino_t unknown;
};

static bool dir_visit(void *ctx, const char *name, size_t len, u64 ino, u8 type, u64 cookie)
{
    struct dir_fill *d = ctx;
    char text[HFS_NAME_MAX + 1];
    struct stat st = {.st_ino = ino, .st_mode = (mode_t)type << 12};
    memcpy(text, name, len);
    text[len] = '\0';
    size_t n =
        fuse_add_direntry(d->req, d->buf + d->used, d->size - d->used, text, &st, (off_t)cookie);
    if (n > d->size - d->used) {
        return false;
    }
    d->used += n;
    return true;
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    (void)fi;
    struct dir_fill d = {.req = req, .buf = malloc(size), .size = size};
    enum hx_status status =
        d.buf != NULL ? hfs_readdir(inode_of(ino), (u64)off, dir_visit, &d) : HX_ERR_NO_MEMORY;
    if (status == HX_OK) {
        fuse_reply_buf(req, d.buf, d.used);
    } else {
        reply(req, status);
    }
    free(d.buf);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    struct hfs_stat st;
    hfs_statfs(mounted.fs, &st);
    struct statvfs out = {.f_bsize = BDEV_BLOCK,
                          .f_frsize = BDEV_BLOCK,
                          .f_blocks = st.blocks,
                          .f_bfree = st.free,
                          .f_bavail = st.available,
                          .f_files = st.blocks,
                          .f_ffree = st.available,
                          .f_namemax = HFS_NAME_MAX};
    fuse_reply_statfs(req, &out);
}

static int xattr_errno(enum hx_status status)
{
    return status == HX_ERR_NOT_FOUND ? ENODATA : errno_of(status);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
    u32 how = ((flags & XATTR_CREATE) != 0 ? HFS_XATTR_CREATE : 0) |
              ((flags & XATTR_REPLACE) != 0 ? HFS_XATTR_REPLACE : 0);
    enum hx_status status = hfs_xattr_set(inode_of(ino), name_of(name), value, size, how);
    fuse_reply_err(req, status == HX_ERR_MESSAGE_SIZE ? ENOSPC : xattr_errno(status));
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    char buf[HFS_XATTR_VALUE_MAX];
    size_t n = 0;
    enum hx_status status = hfs_xattr_get(inode_of(ino), name_of(name), buf, sizeof(buf), &n);
    if (status != HX_OK) {
        fuse_reply_err(req, xattr_errno(status));
    } else if (size == 0) {
        fuse_reply_xattr(req, n);
    } else if (n > size) {
        fuse_reply_err(req, ERANGE);
    } else {
        fuse_reply_buf(req, buf, n);
    }
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    char *buf = malloc(size + 1);
    size_t n = 0;
    enum hx_status status =
        buf != NULL ? hfs_xattr_list(inode_of(ino), buf, size, &n) : HX_ERR_NO_MEMORY;
    if (status != HX_OK) {
        reply(req, status);
    } else if (size == 0) {
        fuse_reply_xattr(req, n);
    } else {
        fuse_reply_buf(req, buf, n);
    }
    free(buf);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    fuse_reply_err(req, xattr_errno(hfs_xattr_remove(inode_of(ino), name_of(name))));
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    (void)fi;
    enum hx_status status = HX_ERR_NOT_SUPPORTED;
    if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
        status = hfs_punch(inode_of(ino), (u64)off, (u64)len);
    }
    reply(req, status);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
                     struct fuse_file_info *fi)
{
    (void)fi;
    u64 at = 0;
    enum hx_status status = whence == SEEK_DATA || whence == SEEK_HOLE
                                ? hfs_seek(inode_of(ino), (u64)off, whence == SEEK_HOLE, &at)
                                : HX_ERR_INVALID;
    if (status == HX_OK) {
        fuse_reply_lseek(req, (off_t)at);
    } else {
        reply(req, status);
    }
}

static void op_init(void *data, struct fuse_conn_info *conn)
{
    (void)data;
    conn->max_background = 16;
}

static const struct fuse_lowlevel_ops ops = {.init = op_init,
                                             .lookup = op_lookup,
                                             .forget = op_forget,
                                             .forget_multi = op_forget_multi,
                                             .getattr = op_getattr,
                                             .setattr = op_setattr,
                                             .readlink = op_readlink,
                                             .mknod = op_mknod,
                                             .mkdir = op_mkdir,
                                             .unlink = op_unlink,
                                             .rmdir = op_rmdir,
                                             .symlink = op_symlink,
                                             .rename = op_rename,
                                             .link = op_link,
                                             .open = op_open,
                                             .create = op_create,
                                             .read = op_read,
                                             .write = op_write,
                                             .flush = op_flush,
                                             .fsync = op_fsync,
                                             .fsyncdir = op_fsync,
                                             .readdir = op_readdir,
                                             .statfs = op_statfs,
                                             .setxattr = op_setxattr,
                                             .getxattr = op_getxattr,
                                             .listxattr = op_listxattr,
                                             .removexattr = op_removexattr,
                                             .fallocate = op_fallocate,
                                             .lseek = op_lseek};

/* Serves until it is unmounted. False: it could not be mounted. */
static bool serve(const char *dir, bool allow_other, bool foreground, bool read_only)
{
    char options[128];
    snprintf(options, sizeof(options), "-odefault_permissions,fsname=helixfs%s%s",
             allow_other ? ",allow_other" : "", read_only ? ",ro" : "");
    char *argv[] = {(char *)tool_name, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, argv);
    struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
    bool good = session != NULL && fuse_set_signal_handlers(session) == 0;
    if (good) {
        good = fuse_session_mount(session, dir) == 0;
        if (good) {
            good = fuse_daemonize(foreground) == 0 && fuse_session_loop(session) >= 0;
            fuse_session_unmount(session);
        }
        fuse_remove_signal_handlers(session);
    }
    if (session != NULL) {
        fuse_session_destroy(session);
    }
    fuse_opt_free_args(&args);
    return good;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"subvolume", 1, NULL, 's'},
                                            {"key-file", 1, NULL, 'k'},
                                            {"read-only", 0, NULL, 'r'},
                                            {"allow-other", 0, NULL, 'a'},
                                            {"foreground", 0, NULL, 'f'},
                                            {"help", 0, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *subvol = "main";
    struct hfs_key_source key;
    struct hfs_mount_opts opts = {.cache_bytes = HX_MIB(64)};
    bool allow_other = false, foreground = false, good = true;
    for (int o; good && (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 's':
            subvol = optarg;
            break;
        case 'k':
            if (!key_load(optarg, &key)) {
                return 1;
            }
            opts.key = &key;
            break;
        case 'r':
            opts.flags |= HFS_MOUNT_RDONLY;
            break;
        case 'a':
            allow_other = true;
            break;
        case 'f':
            foreground = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            good = false;
            break;
        }
    }
    if (!good || optind + 2 != argc) {
        fputs(help, stderr);
        return 2;
    }
    struct image_file image;
    bool read_only = (opts.flags & HFS_MOUNT_RDONLY) != 0;
    if (!image_open(&image, argv[optind], !read_only, 0)) {
        return 1;
    }
    enum hx_status status = hfs_mount(&image.dev, &opts, &mounted.fs);
    if (status != HX_OK) {
        fail("%s: %s", argv[optind],
             status == HX_ERR_INVALID ? "no HelixFS" : hx_status_words(status));
        return 1;
    }
    status = hfs_subvol_open(mounted.fs, subvol, &mounted.sv);
    if (status == HX_OK) {
        status = hfs_root(mounted.sv, &mounted.root);
    }
    if (status != HX_OK) {
        fail("subvolume %s: %s", subvol, hx_status_words(status));
        hfs_abandon(mounted.fs);
        return 1;
    }
    good = serve(argv[optind + 1], allow_other, foreground, read_only);
    /* What the kernel still held is let go with everything else. */
    status = hfs_unmount(mounted.fs);
    if (status != HX_OK) {
        fail("%s: unmount: %s", argv[optind], hx_status_words(status));
    }
    return image_close(&image) && good && status == HX_OK ? 0 : 1;
}
