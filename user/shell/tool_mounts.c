/* SPDX-License-Identifier: MIT */
/* Tools about file systems as a whole, and about extended attributes.
 */
#include "tools_priv.h"

#include <helix/string.h>
#include <hx/file.h>
#include <hx/process.h>
#include <hx/syscall.h>

static enum hx_status as_status(s64 result)
{
    return result < 0 ? (enum hx_status)result : HX_OK;
}

static enum hx_status print_fs(const char *path, bool json, bool table)
{
    struct hx_fs_stat stat = {0};
    enum hx_status status =
        as_status(hx_sys_fs_stat(HX_HANDLE_NONE, path, strlen(path), &stat, sizeof(stat)));
    if (status != HX_OK) {
        return status;
    }
    stat.type[sizeof(stat.type) - 1] = '\0';
    const char *mode = stat.flags & HX_MOUNT_READ_ONLY ? "ro" : "rw";
    u64 kib = stat.blocks * stat.block_bytes / 1024;
    u64 free_kib = stat.free_blocks * stat.block_bytes / 1024;
    if (json) {
        out("{\"path\":");
        out_json_string(path);
        out(",\"type\":\"%s\",\"mode\":\"%s\",\"block_bytes\":%llu,\"blocks\":%llu,"
            "\"free_blocks\":%llu,\"files\":%llu}\n",
            stat.type, mode, (unsigned long long)stat.block_bytes, (unsigned long long)stat.blocks,
            (unsigned long long)stat.free_blocks, (unsigned long long)stat.files);
    } else if (table) {
        out("%-10s %12llu %12llu %12llu  %s\n", stat.type, (unsigned long long)kib,
            (unsigned long long)(kib - free_kib), (unsigned long long)free_kib, path);
    } else {
        out("%s is on %s (%s): %llu blocks of %llu bytes, %llu free, %llu files\n", path, stat.type,
            mode, (unsigned long long)stat.blocks, (unsigned long long)stat.block_bytes,
            (unsigned long long)stat.free_blocks, (unsigned long long)stat.files);
    }
    return HX_OK;
}

/* Calls visit for each line of /proc/mounts: a path, a type, a mode. */
static int for_each_mount(void (*visit)(const char *path, const char *type, const char *mode))
{
    static char text[16384];
    size_t used = 0;
    s64 handle = open_path("/proc/mounts", HX_OPEN_READ, 0), n = 0;
    if (handle < 0) {
        return fail("/proc/mounts", (enum hx_status)handle);
    }
    while (used + 1 < sizeof(text) &&
           (n = hx_sys_file_read((hx_handle_t)handle, text + used, sizeof(text) - 1 - used)) > 0) {
        used += (size_t)n;
    }
    text[used] = '\0';
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        char *mode = strrchr(line, ' ');
        char *type = NULL;
        if (mode) {
            *mode++ = '\0';
            type = strrchr(line, ' ');
        }
        if (type) {
            *type++ = '\0';
            visit(line, type, mode);
        }
    }
    return STATUS_OK;
}

static bool json_wanted;

static void df_line(const char *path, const char *type, const char *mode)
{
    (void)type;
    (void)mode;
    enum hx_status status = print_fs(path, json_wanted, true);
    if (status != HX_OK) {
        fail(path, status);
    }
}

int tool_df(int argc, char **argv)
{
    if (!take_options(&argc, argv, "", NULL, &json_wanted)) {
        return STATUS_USAGE;
    }
    if (argc > 1) {
        return usage();
    }
    if (!json_wanted) {
        out("%-10s %12s %12s %12s  %s\n", "type", "KiB", "used", "free", "mounted on");
    }
    return for_each_mount(df_line);
}

int tool_fsinfo(int argc, char **argv)
{
    if (!take_options(&argc, argv, "", NULL, &json_wanted)) {
        return STATUS_USAGE;
    }
    if (argc > 2) {
        return usage();
    }
    const char *path = argc == 2 ? argv[1] : "/";
    enum hx_status status = print_fs(path, json_wanted, false);
    return status == HX_OK ? STATUS_OK : fail(path, status);
}

static void mount_line(const char *path, const char *type, const char *mode)
{
    if (json_wanted) {
        out("{\"path\":");
        out_json_string(path);
        out(",\"type\":\"%s\",\"mode\":\"%s\"}\n", type, mode);
    } else {
        out("%s on %s (%s)\n", type, path, mode);
    }
}

/* "vda", or "/dev/vda" for who is used to that. */
static enum hx_status name_device(struct hx_mount *options, const char *name)
{
    static const char folder[] = "/dev/";
    name += str_has_prefix(name, folder) ? strlen(folder) : 0;
    return *name && str_copy(options->device, name, sizeof(options->device)) ? HX_OK
                                                                             : HX_ERR_NOT_FOUND;
}

/* 32 bytes are a key; anything else is a passphrase, on one line. */
static enum hx_status read_key(const char *path, char *key, u32 *out_size)
{
    s64 handle = open_path(path, HX_OPEN_READ, 0);
    s64 n = handle < 0 ? handle : hx_sys_file_read((hx_handle_t)handle, key, HX_MOUNT_KEY_MAX);
    if (n < 0) {
        return (enum hx_status)n;
    }
    HX_IGNORE(hx_handle_close((hx_handle_t)handle), "it is ours");
    if (n != 32 && n > 0 && key[n - 1] == '\n') {
        n--;
    }
    *out_size = (u32)n;
    return n > 0 ? HX_OK : HX_ERR_INVALID;
}

int tool_mount(int argc, char **argv)
{
    bool read_only = false;
    if (!take_options(&argc, argv, "r", &read_only, &json_wanted)) {
        return STATUS_USAGE;
    }
    if (argc == 1) {
        return for_each_mount(mount_line);
    }
    if (argc < 3 || argc > 5 || json_wanted) {
        return usage();
    }
    char key[HX_MOUNT_KEY_MAX];
    struct hx_mount options = {.size = sizeof(options), .key = (u64)(uintptr_t)key};
    enum hx_status status = argc > 3 ? name_device(&options, argv[3]) : HX_OK;
    if (status == HX_OK && argc > 4) {
        status = read_key(argv[4], key, &options.key_length);
    }
    if (status != HX_OK) {
        return fail(argv[argc - 1], status);
    }
    status = hx_mount_device(argv[1], argv[2], &options, read_only ? HX_MOUNT_READ_ONLY : 0);
    memset(key, 0, sizeof(key));
    return status == HX_OK ? STATUS_OK : fail(argv[2], status);
}

int tool_mkfs(int argc, char **argv)
{
    if (argc != 3) {
        return usage();
    }
    struct hx_mount options = {.size = sizeof(options)};
    enum hx_status status = name_device(&options, argv[2]);
    if (status == HX_OK) {
        status = hx_mount_device(argv[1], "/", &options, HX_MOUNT_FORMAT);
    }
    return status == HX_OK ? STATUS_OK : fail(argv[2], status);
}

int tool_umount(int argc, char **argv)
{
    if (argc != 2) {
        return usage();
    }
    enum hx_status status = as_status(hx_sys_unmount(argv[1], strlen(argv[1])));
    return status == HX_OK ? STATUS_OK : fail(argv[1], status);
}

static s64 xattr_do(hx_handle_t file, int argc, char **argv, char *bytes, size_t size)
{
    const char *name = argc > 3 ? argv[3] : "";
    if (str_equal(argv[1], "list") && argc == 3) {
        return hx_sys_xattr_list(file, bytes, size);
    }
    if (str_equal(argv[1], "get") && argc == 4) {
        return hx_sys_xattr_get(file, name, strlen(name), bytes, size);
    }
    if (str_equal(argv[1], "set") && argc == 5) {
        return hx_sys_xattr_set(file, name, strlen(name), argv[4], strlen(argv[4]), 0);
    }
    return hx_sys_xattr_remove(file, name, strlen(name));
}

int tool_xattr(int argc, char **argv)
{
    static char bytes[65536];
    static const struct {
        const char *name;
        int argc;
    } forms[] = {{"list", 3}, {"get", 4}, {"set", 5}, {"remove", 4}};
    bool known = false;
    for (u32 i = 0; i < HX_ARRAY_SIZE(forms); i++) {
        known |= argc == forms[i].argc && str_equal(argv[1], forms[i].name);
    }
    if (!known) {
        return usage();
    }
    bool writes = str_equal(argv[1], "set") || str_equal(argv[1], "remove");
    s64 handle = open_path(argv[2], writes ? HX_OPEN_READ | HX_OPEN_WRITE : HX_OPEN_READ, 0);
    if (handle < 0) {
        return fail(argv[2], (enum hx_status)handle);
    }
    s64 n = xattr_do((hx_handle_t)handle, argc, argv, bytes, sizeof(bytes));
    if (n < 0) {
        return fail(argv[2], (enum hx_status)n);
    }
    if (str_equal(argv[1], "list")) {
        for (s64 i = 0; i < n; i++) { /* NUL-terminated names */
            out("%c", bytes[i] ? bytes[i] : '\n');
        }
    } else if (str_equal(argv[1], "get")) {
        out_bytes(bytes, (size_t)n);
        out("\n");
    }
    return STATUS_OK;
}
