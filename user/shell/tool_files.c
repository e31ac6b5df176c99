/* SPDX-License-Identifier: MIT */
/* Tools about names and attributes of files.
 */
#include "tools_priv.h"

#include <helix/format.h>
#include <helix/string.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/syscall.h>

static enum hx_status as_status(s64 result)
{
    return result < 0 ? (enum hx_status)result : HX_OK;
}

static bool is_folder(const struct hx_stat *stat)
{
    return (stat->mode & HX_MODE_TYPE) == HX_MODE_DIRECTORY;
}

static char type_letter(u32 mode)
{
    switch (mode & HX_MODE_TYPE) {
    case HX_MODE_DIRECTORY:
        return 'd';
    case HX_MODE_LINK:
        return 'l';
    case HX_MODE_DEVICE:
        return 'c';
    case HX_MODE_PIPE:
        return 'p';
    default:
        return '-';
    }
}

/* Seconds since 1970-01-01 to a date. Spec: the Gregorian calendar, days counted from 0000-03-01 so
 * that the leap day is a year's last. */
static void format_time(char *text, size_t size, s64 ns)
{
    s64 seconds = ns / (s64)HX_NS_PER_SEC;
    s64 days = seconds / 86400 + 719468, second = seconds % 86400;
    s64 era = days / 146097, day = days % 146097;
    s64 year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    s64 yday = day - (365 * year + year / 4 - year / 100), month = (5 * yday + 2) / 153;
    s64 mday = yday - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    year += era * 400 + (month <= 2);
    format_buffer(text, size, "%04lld-%02lld-%02lld %02lld:%02lld:%02lld", (long long)year,
                  (long long)month, (long long)mday, (long long)(second / 3600),
                  (long long)(second / 60 % 60), (long long)(second % 60));
}

static void format_mode(char *text, u32 mode)
{
    static const char letters[] = "rwxrwxrwx";
    text[0] = type_letter(mode);
    for (u32 i = 0; i < 9; i++) {
        text[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
    }
    text[10] = '\0';
}

static void print_json(const char *name, const char *path, const struct hx_stat *stat)
{
    out("{\"name\":");
    out_json_string(name);
    out(",\"path\":");
    out_json_string(path);
    out(",\"type\":\"%c\",\"mode\":%u,\"bytes\":%llu,\"stored\":%llu,\"ino\":%llu,\"links\":%u,"
        "\"uid\":%u,\"gid\":%u,\"mtime_ns\":%lld,\"atime_ns\":%lld,\"ctime_ns\":%lld}\n",
        type_letter(stat->mode), stat->mode & HX_MODE_BITS, (unsigned long long)stat->bytes,
        (unsigned long long)stat->stored, (unsigned long long)stat->ino, stat->nlink, stat->uid,
        stat->gid, (long long)stat->mtime_ns, (long long)stat->atime_ns, (long long)stat->ctime_ns);
}

/* ls */

struct list {
    bool longer, all, json;
    u32 count, room;
    char **names;
};

static void print_entry(const struct list *list, const char *name, const char *path)
{
    struct hx_stat stat;
    char mode[12], time[32], target[HX_PATH_MAX + 1];
    if (!list->longer && !list->json) {
        out("%s\n", name);
        return;
    }
    enum hx_status status = stat_path(path, HX_STAT_NOFOLLOW, &stat);
    if (status != HX_OK) {
        fail(path, status);
        return;
    }
    if (list->json) {
        print_json(name, path, &stat);
        return;
    }
    format_mode(mode, stat.mode);
    format_time(time, sizeof(time), stat.mtime_ns);
    out("%s %3u %10llu %s %s", mode, stat.nlink, (unsigned long long)stat.bytes, time, name);
    if (type_letter(stat.mode) == 'l') {
        s64 n =
            hx_sys_file_readlink(HX_HANDLE_NONE, path, strlen(path), target, sizeof(target) - 1);
        target[n > 0 && n < (s64)sizeof(target) ? n : 0] = '\0';
        out(" -> %s", target);
    }
    out("\n");
}

static bool collect(void *ctx, const char *path, const struct hx_dirent *entry)
{
    struct list *list = ctx;
    (void)path;
    if (entry->name[0] == '.' && !list->all) {
        return true;
    }
    if (list->count == list->room) {
        u32 room = list->room * 2 + 64;
        char **names = realloc(list->names, room * sizeof(*names));
        if (!names) {
            return false;
        }
        list->names = names;
        list->room = room;
    }
    size_t size = strlen(entry->name) + 1;
    char *name = malloc(size);
    if (!name) {
        return false;
    }
    memcpy(name, entry->name, size);
    list->names[list->count++] = name;
    return true;
}

static void sort_names(char **names, u32 count)
{
    for (u32 gap = count / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11) {
        for (u32 i = gap; i < count; i++) {
            char *name = names[i];
            u32 at = i;
            for (; at >= gap && strcmp(names[at - gap], name) > 0; at -= gap) {
                names[at] = names[at - gap];
            }
            names[at] = name;
        }
    }
}

static enum hx_status list_folder(struct list *list, const char *path)
{
    char full[HX_PATH_MAX + 1];
    enum hx_status status = read_folder(path, collect, list);
    sort_names(list->names, list->count);
    for (u32 i = 0; i < list->count; i++) {
        if (join(full, path, list->names[i])) {
            print_entry(list, list->names[i], full);
        }
        free(list->names[i]);
    }
    list->count = 0;
    return status;
}

int tool_ls(int argc, char **argv)
{
    static char root[] = "/";
    bool flags[2] = {false}, json = false;
    int result = STATUS_OK;
    if (!take_options(&argc, argv, "la", flags, &json)) {
        return STATUS_USAGE;
    }
    struct list list = {.longer = flags[0], .all = flags[1], .json = json};
    if (argc == 1) {
        argv[argc++] = root; /* where the NULL was; nobody looks for that one */
    }
    for (int i = 1; i < argc; i++) {
        struct hx_stat stat;
        enum hx_status status = stat_path(argv[i], 0, &stat);
        if (status == HX_OK && is_folder(&stat)) {
            if (argc > 2 && !json) {
                out("%s%s:\n", i > 1 ? "\n" : "", argv[i]);
            }
            status = list_folder(&list, argv[i]);
        } else if (status == HX_OK || stat_path(argv[i], HX_STAT_NOFOLLOW, &stat) == HX_OK) {
            print_entry(&list, argv[i], argv[i]);
            status = HX_OK;
        }
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
    }
    free(list.names);
    return result;
}

int tool_stat(int argc, char **argv)
{
    bool json = false;
    int result = STATUS_OK;
    if (!take_options(&argc, argv, "", NULL, &json)) {
        return STATUS_USAGE;
    }
    if (argc < 2) {
        return usage();
    }
    for (int i = 1; i < argc; i++) {
        struct hx_stat stat;
        char mode[12], time[32];
        enum hx_status status = stat_path(argv[i], HX_STAT_NOFOLLOW, &stat);
        if (status != HX_OK) {
            result = fail(argv[i], status);
            continue;
        }
        if (json) {
            print_json(last_name(argv[i]), argv[i], &stat);
            continue;
        }
        format_mode(mode, stat.mode);
        format_time(time, sizeof(time), stat.mtime_ns);
        out("%s\n  mode %s (%04o), %u links, owner %u, group %u\n  %llu bytes, %llu stored, inode "
            "%llu of file system %llu\n  modified %s\n",
            argv[i], mode, stat.mode & HX_MODE_BITS, stat.nlink, stat.uid, stat.gid,
            (unsigned long long)stat.bytes, (unsigned long long)stat.stored,
            (unsigned long long)stat.ino, (unsigned long long)stat.device, time);
    }
    return result;
}

/* copying, moving, removing */

/* Where `from` goes: `to` itself, or into it when it is a folder. */
static enum hx_status place(char *path, const char *from, const char *to, bool to_is_folder)
{
    if (to_is_folder ? !join(path, to, last_name(from)) : !str_copy(path, to, HX_PATH_MAX + 1)) {
        return HX_ERR_NAME_TOO_LONG;
    }
    return HX_OK;
}

static enum hx_status copy_file(const char *from, const char *to, u32 mode)
{
    static char bytes[65536];
    s64 in = open_path(from, HX_OPEN_READ, 0);
    if (in < 0) {
        return (enum hx_status)in;
    }
    s64 out_file =
        open_path(to, HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_TRUNCATE, mode & HX_MODE_BITS);
    s64 n = out_file < 0 ? out_file : 0, written = 0;
    while (out_file >= 0 && (n = hx_sys_file_read((hx_handle_t)in, bytes, sizeof(bytes))) > 0) {
        for (s64 done = 0; done < n; done += written) {
            written = hx_sys_file_write((hx_handle_t)out_file, bytes + done, (u64)(n - done));
            if (written <= 0) {
                break;
            }
        }
        if (written <= 0) {
            n = written < 0 ? written : HX_ERR_NO_SPACE;
            break;
        }
    }
    HX_IGNORE(hx_handle_close((hx_handle_t)in), "it is ours");
    if (out_file >= 0) {
        HX_IGNORE(hx_handle_close((hx_handle_t)out_file), "it is ours");
    }
    return n < 0 ? (enum hx_status)n : HX_OK;
}

struct tree {
    const char *to; /* copying: the folder that it becomes */
    enum hx_status status;
    u64 stored;
};

static enum hx_status copy_tree(const char *from, const char *to);

static bool copy_entry(void *ctx, const char *path,
                       const struct hx_dirent *entry) // NOLINT(misc-no-recursion)
{
    struct tree *tree = ctx;
    size_t room = HX_PATH_MAX + 1;
    char *from = malloc(room), *to = malloc(room);
    tree->status = !from || !to ? HX_ERR_NO_MEMORY
                   : !join(from, path, entry->name) || !join(to, tree->to, entry->name)
                       ? HX_ERR_NAME_TOO_LONG
                       : copy_tree(from, to);
    free(from);
    free(to);
    return tree->status == HX_OK;
}

/* As deep as the tree: each level makes a path longer, and paths end at HX_PATH_MAX. */
static enum hx_status copy_tree(const char *from, const char *to) // NOLINT(misc-no-recursion)
{
    struct hx_stat stat, there;
    enum hx_status status = stat_path(from, 0, &stat);
    if (status != HX_OK) {
        return status;
    }
    if (stat_path(to, 0, &there) == HX_OK && there.ino == stat.ino && there.device == stat.device) {
        return HX_ERR_EXISTS; /* a file onto itself would empty it */
    }
    if (!is_folder(&stat)) {
        return copy_file(from, to, stat.mode);
    }
    status = as_status(
        hx_sys_directory_create(HX_HANDLE_NONE, to, strlen(to), stat.mode & HX_MODE_BITS));
    struct tree tree = {.to = to};
    if (status == HX_OK || status == HX_ERR_EXISTS) {
        status = read_folder(from, copy_entry, &tree);
    }
    return status != HX_OK ? status : tree.status;
}

static int copy_or_move(int argc, char **argv, enum hx_status (*act)(const char *, const char *))
{
    struct hx_stat stat;
    char path[HX_PATH_MAX + 1];
    int result = STATUS_OK;
    const char *to = argv[argc - 1];
    bool folder = stat_path(to, 0, &stat) == HX_OK && is_folder(&stat);
    if (argc > 3 && !folder) {
        return fail(to, HX_ERR_NOT_DIR);
    }
    for (int i = 1; i < argc - 1; i++) {
        enum hx_status status = place(path, argv[i], to, folder);
        if (status == HX_OK) {
            status = act(argv[i], path);
        }
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
    }
    return result;
}

static enum hx_status copy_one(const char *from, const char *to)
{
    struct hx_stat stat;
    enum hx_status status = stat_path(from, 0, &stat);
    return status != HX_OK ? status : is_folder(&stat) ? HX_ERR_IS_DIR : copy_tree(from, to);
}

/* True when `to` lies in the folder `from`: copying would never end. */
static bool lies_in(const char *to, const char *from)
{
    size_t size = strlen(from);
    while (size > 0 && from[size - 1] == '/') {
        size--;
    }
    return strncmp(to, from, size) == 0 && (to[size] == '/' || to[size] == '\0');
}

static enum hx_status copy_deep(const char *from, const char *to)
{
    return lies_in(to, from) ? HX_ERR_INVALID : copy_tree(from, to);
}

int tool_cp(int argc, char **argv)
{
    bool deep = false;
    if (!take_options(&argc, argv, "r", &deep, NULL)) {
        return STATUS_USAGE;
    }
    return argc < 3 ? usage() : copy_or_move(argc, argv, deep ? copy_deep : copy_one);
}

static enum hx_status unlink_path(const char *path, u32 flags)
{
    return as_status(hx_sys_file_unlink(HX_HANDLE_NONE, path, strlen(path), flags));
}

/* What is removed may not be listed on: the first entry again and again, until there is none. */
static bool take_first(void *ctx, const char *path, const struct hx_dirent *entry)
{
    (void)path;
    HX_IGNORE(str_copy(ctx, entry->name, HX_FILE_NAME_MAX + 1), "names are no longer");
    return false;
}

static enum hx_status remove_tree(const char *path) // NOLINT(misc-no-recursion)
{
    struct hx_stat stat;
    enum hx_status status = stat_path(path, HX_STAT_NOFOLLOW, &stat);
    if (status != HX_OK || !is_folder(&stat)) {
        return status == HX_OK ? unlink_path(path, 0) : status;
    }
    char *inner = malloc(HX_PATH_MAX + 1);
    status = inner ? HX_OK : HX_ERR_NO_MEMORY;
    while (status == HX_OK) {
        char name[HX_FILE_NAME_MAX + 1] = "";
        status = read_folder(path, take_first, name);
        if (status != HX_OK || !name[0]) {
            break;
        }
        status = join(inner, path, name) ? remove_tree(inner) : HX_ERR_NAME_TOO_LONG;
    }
    free(inner);
    return status == HX_OK ? unlink_path(path, HX_UNLINK_DIRECTORY) : status;
}

static enum hx_status move_one(const char *from, const char *to)
{
    enum hx_status status = as_status(hx_sys_file_rename(
        HX_DIRECTORIES(HX_HANDLE_NONE, HX_HANDLE_NONE), from, strlen(from), to, strlen(to), 0));
    if (status == HX_ERR_CROSS_DEVICE) {
        status = lies_in(to, from) ? HX_ERR_INVALID : copy_tree(from, to);
        status = status == HX_OK ? remove_tree(from) : status;
    }
    return status;
}

int tool_mv(int argc, char **argv)
{
    if (!take_options(&argc, argv, "", NULL, NULL)) {
        return STATUS_USAGE;
    }
    return argc < 3 ? usage() : copy_or_move(argc, argv, move_one);
}

int tool_rm(int argc, char **argv)
{
    bool flags[2] = {false};
    int result = STATUS_OK;
    if (!take_options(&argc, argv, "rf", flags, NULL)) {
        return STATUS_USAGE;
    }
    if (argc < 2) {
        return usage();
    }
    for (int i = 1; i < argc; i++) {
        enum hx_status status = flags[0] ? remove_tree(argv[i]) : unlink_path(argv[i], 0);
        if (status != HX_OK && !(flags[1] && status == HX_ERR_NOT_FOUND)) {
            result = fail(argv[i], status);
        }
    }
    return result;
}

/* the rest about names */

static enum hx_status make_folder(char *path, bool parents)
{
    struct hx_stat stat;
    for (char *slash = path; parents && (slash = strchr(slash + 1, '/')) && slash[1];) {
        *slash = '\0';
        enum hx_status status =
            as_status(hx_sys_directory_create(HX_HANDLE_NONE, path, strlen(path), 0755));
        *slash = '/';
        if (status != HX_OK && status != HX_ERR_EXISTS) {
            return status;
        }
    }
    enum hx_status status =
        as_status(hx_sys_directory_create(HX_HANDLE_NONE, path, strlen(path), 0755));
    if (parents && status == HX_ERR_EXISTS && stat_path(path, 0, &stat) == HX_OK &&
        is_folder(&stat)) {
        status = HX_OK;
    }
    return status;
}

int tool_mkdir(int argc, char **argv)
{
    bool parents = false;
    int result = STATUS_OK;
    if (!take_options(&argc, argv, "p", &parents, NULL)) {
        return STATUS_USAGE;
    }
    if (argc < 2) {
        return usage();
    }
    for (int i = 1; i < argc; i++) {
        enum hx_status status = make_folder(argv[i], parents);
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
    }
    return result;
}

int tool_rmdir(int argc, char **argv)
{
    int result = argc < 2 ? usage() : STATUS_OK;
    for (int i = 1; i < argc; i++) {
        enum hx_status status = unlink_path(argv[i], HX_UNLINK_DIRECTORY);
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
    }
    return result;
}

int tool_ln(int argc, char **argv)
{
    bool symbolic = false;
    if (!take_options(&argc, argv, "s", &symbolic, NULL)) {
        return STATUS_USAGE;
    }
    if (argc != 3) {
        return usage();
    }
    enum hx_status status = as_status(
        symbolic ? hx_sys_file_symlink(HX_HANDLE_NONE, argv[2], strlen(argv[2]), argv[1],
                                       strlen(argv[1]))
                 : hx_sys_file_link(HX_DIRECTORIES(HX_HANDLE_NONE, HX_HANDLE_NONE), argv[1],
                                    strlen(argv[1]), argv[2], strlen(argv[2]), 0));
    return status == HX_OK ? STATUS_OK : fail(argv[2], status);
}

static enum hx_status set_attr(const char *path, const struct hx_attr *attr)
{
    return as_status(
        hx_sys_file_attr_set(HX_HANDLE_NONE, path, strlen(path), attr, sizeof(*attr), 0));
}

int tool_chmod(int argc, char **argv)
{
    struct hx_attr attr = {.size = sizeof(attr), .mask = HX_ATTR_MODE};
    int result = STATUS_OK;
    if (argc < 3 || strlen(argv[1]) > 4 || !argv[1][0]) {
        return usage();
    }
    for (const char *c = argv[1]; *c; c++) {
        if (*c < '0' || *c > '7') {
            return usage();
        }
        attr.mode = attr.mode << 3 | (u32)(*c - '0');
    }
    for (int i = 2; i < argc; i++) {
        enum hx_status status = set_attr(argv[i], &attr);
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
    }
    return result;
}

int tool_touch(int argc, char **argv)
{
    static const struct hx_attr attr = {.size = sizeof(attr),
                                        .mask = HX_ATTR_ATIME | HX_ATTR_MTIME | HX_ATTR_NOW};
    int result = argc < 2 ? usage() : STATUS_OK;
    for (int i = 1; i < argc; i++) {
        enum hx_status status = set_attr(argv[i], &attr);
        if (status == HX_ERR_NOT_FOUND) {
            s64 handle = open_path(argv[i], HX_OPEN_WRITE | HX_OPEN_CREATE, 0644);
            status = as_status(handle);
            if (handle > 0) {
                HX_IGNORE(hx_handle_close((hx_handle_t)handle), "it is ours");
            }
        }
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
    }
    return result;
}

static enum hx_status sum_tree(const char *path, u64 *stored);

static bool sum_entry(void *ctx, const char *path,
                      const struct hx_dirent *entry) // NOLINT(misc-no-recursion)
{
    struct tree *tree = ctx;
    char *inner = malloc(HX_PATH_MAX + 1);
    if (!inner) {
        tree->status = HX_ERR_NO_MEMORY;
        return false;
    }
    if (join(inner, path, entry->name)) {
        enum hx_status status = sum_tree(inner, &tree->stored);
        tree->status = status == HX_OK ? tree->status : status;
    }
    free(inner);
    return true;
}

static enum hx_status sum_tree(const char *path, u64 *stored) // NOLINT(misc-no-recursion)
{
    struct hx_stat stat;
    enum hx_status status = stat_path(path, HX_STAT_NOFOLLOW, &stat);
    if (status != HX_OK) {
        return status;
    }
    struct tree tree = {.stored = stat.stored};
    if (is_folder(&stat)) {
        status = read_folder(path, sum_entry, &tree);
    }
    *stored += tree.stored;
    return status != HX_OK ? status : tree.status;
}

int tool_du(int argc, char **argv)
{
    static char root[] = "/";
    bool json = false;
    int result = STATUS_OK;
    if (!take_options(&argc, argv, "", NULL, &json)) {
        return STATUS_USAGE;
    }
    if (argc == 1) {
        argv[argc++] = root;
    }
    for (int i = 1; i < argc; i++) {
        u64 stored = 0;
        enum hx_status status = sum_tree(argv[i], &stored);
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
        if (json) {
            out("{\"path\":");
            out_json_string(argv[i]);
            out(",\"stored\":%llu}\n", (unsigned long long)stored);
        } else {
            out("%10llu %s\n", (unsigned long long)(stored + 1023) / 1024, argv[i]);
        }
    }
    return result;
}

int tool_sync(int argc, char **argv)
{
    int result = STATUS_OK;
    enum hx_status status;
    if (argc == 1) {
        status = as_status(hx_sys_file_sync(HX_HANDLE_NONE));
        return status == HX_OK ? STATUS_OK : fail("all files", status);
    }
    for (int i = 1; i < argc; i++) {
        s64 handle = open_path(argv[i], HX_OPEN_READ, 0);
        status = as_status(handle);
        if (status == HX_OK) {
            status = as_status(hx_sys_file_sync((hx_handle_t)handle));
            HX_IGNORE(hx_handle_close((hx_handle_t)handle), "it is ours");
        }
        if (status != HX_OK) {
            result = fail(argv[i], status);
        }
    }
    return result;
}
