/* SPDX-License-Identifier: MIT */
/* helixfs-inspect: shows what is in an image without changing it, and manages its snapshots. */
#include "image.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char *tool_name = "helixfs-inspect";

static const char help[] =
    "usage: helixfs-inspect [OPTIONS] IMAGE COMMAND [ARGUMENTS]\n"
    "  info                          superblock, space, state\n"
    "  subvolumes                    subvolumes, snapshots and clones\n"
    "  ls [PATH]                     names in a directory\n"
    "  tree                          every path with mode, owner, links, size and content "
    "checksum\n"
    "  cat PATH                      a file's content on standard output\n"
    "  snapshot NAME                 take a snapshot of the subvolume\n"
    "  clone SNAPSHOT NAME           a writable subvolume that starts as the snapshot is\n"
    "  rollback SNAPSHOT             the subvolume becomes what its newest snapshot shows\n"
    "  destroy NAME                  a snapshot or a clone\n"
    "  scrub                         read everything, repair damaged copies\n"
    "Options:\n"
    "  --subvolume NAME              which one (default main)\n"
    "  --key-file FILE               of an encrypted file system; - is standard input\n"
    "  --json                        one JSON object a line\n"
    "  --help                        this text\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

struct tool {
    struct hfs *fs;
    struct hfs_subvol *sv;
    const char *subvol;
    bool json;
};

static bool done(enum hx_status status, const char *what)
{
    if (status != HX_OK) {
        fail("%s: %s", what, hx_status_words(status));
    }
    return status == HX_OK;
}

/* Walks a path from the root; symbolic links are not followed. */
static enum hx_status path_open(struct tool *t, const char *path, struct hfs_inode **out)
{
    struct hfs_inode *at;
    enum hx_status status = hfs_root(t->sv, &at);
    while (status == HX_OK) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 0) {
            *out = at;
            return HX_OK;
        }
        struct hfs_inode *next;
        status = hfs_lookup(at, (struct hfs_name){path, len}, &next);
        hfs_inode_put(at);
        at = next;
        path += len;
    }
    return status;
}

static bool cmd_info(struct tool *t)
{
    struct hfs_stat st;
    hfs_statfs(t->fs, &st);
    if (t->json) {
        printf("{\"label\":");
        json_string(stdout, st.label, strlen(st.label));
        printf(",\"blocks\":%llu,\"free\":%llu,\"available\":%llu,\"txg\":%llu,\"replayed\":%s}\n",
               (unsigned long long)st.blocks, (unsigned long long)st.free,
               (unsigned long long)st.available, (unsigned long long)st.txg,
               st.replayed ? "true" : "false");
        return true;
    }
    printf("label       %s\nuuid        ", st.label);
    for (u32 i = 0; i < sizeof(st.uuid); i++) {
        printf("%02x%s", st.uuid[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
    }
    printf("\nblocks      %llu of 4 KiB\nfree        %llu\navailable   %llu\n"
           "group       %llu%s\n",
           (unsigned long long)st.blocks, (unsigned long long)st.free,
           (unsigned long long)st.available, (unsigned long long)st.txg,
           st.replayed ? "\nlog         not empty, shown as replayed" : "");
    return true;
}

static bool print_subvol(void *ctx, const struct hfs_subvol_info *info)
{
    struct tool *t = ctx;
    const char *kind = (info->flags & HFS_SV_SNAPSHOT) != 0 ? "snapshot"
                       : info->origin != 0                  ? "clone"
                                                            : "subvolume";
    if (t->json) {
        printf("{\"id\":%llu,\"name\":", (unsigned long long)info->id);
        json_string(stdout, info->name, strlen(info->name));
        printf(
            ",\"kind\":\"%s\",\"of\":%llu,\"birth\":%llu,\"encrypted\":%s}\n", kind,
            (unsigned long long)((info->flags & HFS_SV_SNAPSHOT) != 0 ? info->chain : info->origin),
            (unsigned long long)info->birth,
            (info->flags & HFS_SV_ENCRYPTED) != 0 ? "true" : "false");
    } else {
        printf("%6llu  %-9s  %s%s\n", (unsigned long long)info->id, kind, info->name,
               (info->flags & HFS_SV_ENCRYPTED) != 0 ? " (encrypted)" : "");
    }
    return true;
}

struct names {
    char (*name)[HFS_NAME_MAX + 1];
    u64 *ino;
    size_t count, room;
};

static bool collect(void *ctx, const char *name, size_t len, u64 ino, u8 type, u64 cookie)
{
    struct names *n = ctx;
    (void)type;
    (void)cookie;
    if (strncmp(name, ".", len) == 0 || strncmp(name, "..", len) == 0) {
        return true;
    }
    if (n->count == n->room) {
        n->room = n->room > 0 ? 2 * n->room : 64;
        n->name = realloc(n->name, n->room * sizeof(*n->name));
        n->ino = realloc(n->ino, n->room * sizeof(*n->ino));
        if (n->name == NULL || n->ino == NULL) {
            fail("out of memory");
            exit(1);
        }
    }
    memcpy(n->name[n->count], name, len);
    n->name[n->count][len] = '\0';
    n->ino[n->count++] = ino;
    return true;
}

/* CRC-32 of the content as zlib computes it, which other tools can repeat; 0 for no content. */
static enum hx_status content_crc(struct hfs_inode *inode, const struct hfs_attr *attr, u32 *out)
{
    static u8 buf[65536];
    u32 crc = ~0u;
    bool link = (attr->mode & 0170000) == 0120000, file = (attr->mode & 0170000) == 0100000;
    *out = 0;
    for (u64 off = 0; (link || file) && off < attr->size;) {
        size_t n;
        enum hx_status status = link ? hfs_readlink(inode, (char *)buf, sizeof(buf), &n)
                                     : hfs_read(inode, off, buf, sizeof(buf), &n);
        if (status != HX_OK) {
            return status;
        }
        for (size_t i = 0; i < n; i++) {
            crc ^= buf[i];
            for (u32 bit = 0; bit < 8; bit++) {
                crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
            }
        }
        off += n > 0 ? n : attr->size;
    }
    *out = link || file ? ~crc : 0;
    return HX_OK;
}

static bool print_entry(struct tool *t, const char *path, struct hfs_inode *inode, bool crc)
{
    struct hfs_attr a;
    u32 sum = 0;
    enum hx_status status = hfs_getattr(inode, &a);
    if (status == HX_OK && crc) {
        status = content_crc(inode, &a, &sum);
    }
    if (status != HX_OK) {
        fail("%s: %s", path, hx_status_words(status));
        return false;
    }
    if (t->json) {
        printf("{\"path\":");
        json_string(stdout, path, strlen(path));
        printf(",\"ino\":%llu,\"mode\":%u,\"uid\":%u,\"gid\":%u,\"nlink\":%u,\"size\":%llu,"
               "\"crc32\":%u}\n",
               (unsigned long long)a.ino, a.mode, a.uid, a.gid, a.nlink, (unsigned long long)a.size,
               sum);
    } else {
        printf("%06o %3u %5u %5u %10llu", a.mode, a.nlink, a.uid, a.gid,
               (unsigned long long)a.size);
        if (crc) {
            printf(" %08x", sum);
        }
        printf(" %s\n", path);
    }
    return true;
}

/* Directories still to be shown, instead of recursion: trees may be deep. */
struct pending_dir {
    char *path;
    struct pending_dir *next;
};

static bool list_dir(struct tool *t, const char *path, bool deep, struct pending_dir **pending)
{
    struct hfs_inode *dir;
    struct names n = {0};
    enum hx_status status = path_open(t, path, &dir);
    if (status == HX_OK) {
        status = hfs_readdir(dir, 0, collect, &n);
        hfs_inode_put(dir);
    }
    bool good = done(status, path);
    for (size_t i = 0; i < n.count && good; i++) {
        struct hfs_inode *inode;
        char *full = malloc(strlen(path) + strlen(n.name[i]) + 2);
        sprintf(full, "%s/%s", strcmp(path, "/") == 0 ? "" : path, n.name[i]);
        good = done(hfs_inode_get(t->sv, n.ino[i], &inode), full);
        if (!good) {
            free(full);
            break;
        }
        struct hfs_attr a;
        good = done(hfs_getattr(inode, &a), full) && print_entry(t, full, inode, deep);
        hfs_inode_put(inode);
        if (deep && (a.mode & 0170000) == 0040000) {
            struct pending_dir *next = malloc(sizeof(*next));
            *next = (struct pending){.path = full, .next = *pending};
            *pending = next;
        } else {
            free(full);
        }
    }
    free(n.name);
    free(n.ino);
    return good;
}

static bool cmd_tree(struct tool *t)
{
    struct pending_dir *pending = NULL;
    bool good = list_dir(t, "/", true, &pending);
    while (pending != NULL) {
        struct pending_dir *at = pending;
        pending = at->next;
        good = good && list_dir(t, at->path, true, &pending);
        free(at->path);
        free(at);
    }
    return good;
}

static bool cmd_cat(struct tool *t, const char *path)
{
    static u8 buf[65536];
    struct hfs_inode *inode;
    enum hx_status status = path_open(t, path, &inode);
    if (!done(status, path)) {
        return false;
    }
    size_t n = 1;
    for (u64 off = 0; status == HX_OK && n > 0; off += n) {
        status = hfs_read(inode, off, buf, sizeof(buf), &n);
        if (status == HX_OK && fwrite(buf, 1, n, stdout) != n) {
            status = HX_ERR_IO;
        }
    }
    hfs_inode_put(inode);
    return done(status, path);
}

static bool cmd_scrub(struct tool *t)
{
    struct hfs_scrub_result r;
    if (!done(hfs_scrub(t->fs, &r), "scrub")) {
        return false;
    }
    printf(t->json ? "{\"blocks\":%llu,\"repaired\":%llu,\"lost\":%llu}\n"
                   : "%llu blocks in use, %llu copies repaired, %llu blocks lost\n",
           (unsigned long long)r.blocks, (unsigned long long)r.repaired,
           (unsigned long long)r.lost);
    return r.lost == 0;
}

static bool run(struct tool *t, char **argv, int argc)
{
    const char *cmd = argv[0], *a = argc > 1 ? argv[1] : NULL, *b = argc > 2 ? argv[2] : NULL;
    if (strcmp(cmd, "subvolumes") == 0) {
        return done(hfs_subvol_list(t->fs, print_subvol, t), "subvolumes");
    }
    if (strcmp(cmd, "snapshot") == 0) {
        return done(hfs_snapshot(t->fs, t->subvol, a), a);
    }
    if (strcmp(cmd, "clone") == 0) {
        return done(hfs_clone(t->fs, a, b), b);
    }
    if (strcmp(cmd, "rollback") == 0) {
        return done(hfs_rollback(t->fs, a), a);
    }
    if (strcmp(cmd, "destroy") == 0) {
        return done(hfs_destroy(t->fs, a), a);
    }
    if (strcmp(cmd, "scrub") == 0) {
        return cmd_scrub(t);
    }
    if (strcmp(cmd, "info") == 0) {
        return cmd_info(t);
    }
    if (!done(hfs_subvol_open(t->fs, t->subvol, &t->sv), t->subvol)) {
        return false;
    }
    struct pending_dir *none = NULL;
    bool good = strcmp(cmd, "ls") == 0    ? list_dir(t, a != NULL ? a : "/", false, &none)
                : strcmp(cmd, "cat") == 0 ? cmd_cat(t, a)
                                          : cmd_tree(t);
    hfs_subvol_put(t->sv);
    return good;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"subvolume", 1, NULL, 's'},
                                            {"key-file", 1, NULL, 'k'},
                                            {"json", 0, NULL, 'j'},
                                            {"help", 0, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static const struct {
        const char *name;
        int least, most; /* arguments */
        bool write;
    } commands[] = {{"info", 0, 0, false}, {"subvolumes", 0, 0, false}, {"ls", 0, 1, false},
                    {"tree", 0, 0, false}, {"cat", 1, 1, false},        {"snapshot", 1, 1, true},
                    {"clone", 2, 2, true}, {"rollback", 1, 1, true},    {"destroy", 1, 1, true},
                    {"scrub", 0, 0, true}};
    struct tool t = {.subvol = "main"};
    struct hfs_key_source key;
    struct hfs_mount_opts opts = {0};
    bool good = true;
    for (int o; good && (o = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        switch (o) {
        case 's':
            t.subvol = optarg;
            break;
        case 'k':
            if (!key_load(optarg, &key)) {
                return 1;
            }
            opts.key = &key;
            break;
        case 'j':
            t.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            good = false;
            break;
        }
    }
    u32 c = 0;
    int args = argc - optind - 2;
    while (good && args >= 0 && c < HX_ARRAY_SIZE(commands) &&
           strcmp(argv[optind + 1], commands[c].name) != 0) {
        c++;
    }
    if (!good || args < 0 || c == HX_ARRAY_SIZE(commands) || args < commands[c].least ||
        args > commands[c].most) {
        fputs(help, stderr);
        return 2;
    }
    struct image_file image;
    if (!image_open(&image, argv[optind], commands[c].write, 0)) {
        return 1;
    }
    opts.flags = commands[c].write ? 0 : HFS_MOUNT_RDONLY;
    enum hx_status status = hfs_mount(&image.dev, &opts, &t.fs);
    if (status != HX_OK) {
        fail("%s: %s", argv[optind],
             status == HX_ERR_INVALID ? "no HelixFS" : hx_status_words(status));
        return 1;
    }
    good = run(&t, argv + optind + 1, args + 1);
    good = done(hfs_unmount(t.fs), "unmount") && good;
    return image_close(&image) && good ? 0 : 1;
}
