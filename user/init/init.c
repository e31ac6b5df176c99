/* SPDX-License-Identifier: MIT */
/* init: the first process. It keeps a shell on the console; or, when the host has said what is to
 * be run, it has a shell run that and ends the machine. Owns:      the console and the system
 * object, which it passes on.      Context: one thread. The host reads the two marker lines: the
 * nonce makes them unlike anything that a command prints, and the kernel's log is kept off the
 * console between them.
 */
#include <abi/file.h>
#include <helix/format.h>
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/file.h>
#include <hx/io.h>
#include <hx/process.h>
#include <hx/syscall.h>
#include <hx/system.h>

#define SHELL "/bin/shell"
/* A shell that ends is started again: at once, unless it ended soon after its start. */
#define SOON_NS      (2 * HX_NS_PER_SEC)
#define BACK_OFF_MIN (50 * HX_NS_PER_MS)
#define BACK_OFF_MAX (10 * HX_NS_PER_SEC)

static void kernel_to(hx_handle_t output, const char *a, const char *b)
{
    const char *const argv[] = {a, b};
    int status = 0;
    enum hx_status called =
        hx_system_command(hx_standard(HX_STDSYSTEM), b ? 2 : 1, argv, output, &status);
    if (called != HX_OK || status != 0) {
        hx_printf("init: %s: %s\n", a, called == HX_OK ? "failed" : hx_status_words(called));
    }
}

static void kernel(const char *a, const char *b)
{
    kernel_to(HX_HANDLE_NONE, a, b);
}

static hx_handle_t open_null(u32 flags)
{
    static const char null[] = "/dev/null";
    s64 handle = hx_sys_file_open(HX_HANDLE_NONE, null, strlen(null), flags, 0);
    return handle > 0 ? (hx_handle_t)handle : HX_HANDLE_NONE;
}

/* Starts a shell and waits for its end. line: NULL, or what it is to run. */
static enum hx_status run_shell(const char *line, hx_handle_t input, u64 *out_status)
{
    char args[HX_ARGS_MAX];
    static const char head[] = "shell\0-c";
    size_t used = line ? sizeof(head) : sizeof("shell");
    memcpy(args, head, used);
    if (line) {
        size_t length = strlen(line) + 1;
        if (length > sizeof(args) - used) {
            return HX_ERR_OVERFLOW;
        }
        memcpy(args + used, line, length);
        used += length;
    }
    const hx_handle_t handles[] = {input, hx_standard(HX_STDOUT), hx_standard(HX_STDERR),
                                   hx_standard(HX_STDSYSTEM)};
    struct hx_spawn spawn = {
        .size = sizeof(spawn),
        .path = (u64)(uintptr_t)SHELL,
        .path_length = strlen(SHELL),
        .args = (u64)(uintptr_t)args,
        .args_length = used,
        .handles = (u64)(uintptr_t)handles,
        .handle_count = HX_ARRAY_SIZE(handles),
    };
    s64 process = hx_sys_process_start(&spawn, sizeof(spawn));
    if (process < 0) {
        return (enum hx_status)process;
    }
    enum hx_status status = hx_process_wait((hx_handle_t)process, HX_DEADLINE_NEVER, out_status);
    HX_IGNORE(hx_handle_close((hx_handle_t)process), "it is ours");
    return status;
}

static void exec(const char *line, const char *nonce)
{
    u64 value = 0;
    hx_handle_t input = open_null(HX_OPEN_READ);
    kernel("loglevel", "panic");
    hx_printf("@helix %s begin\n", nonce);
    enum hx_status status = run_shell(line, input, &value);
    if (status != HX_OK) {
        hx_printf("init: %s: %s\n", SHELL, hx_status_words(status));
        value = 127;
    }
    hx_printf("@helix %s end %llu\n", nonce, (unsigned long long)(value > 255 ? 126 : value));
    kernel("poweroff", NULL);
}

/* Mounts `type` from that device. False: the device holds none. */
static bool mount_device(const char *type, const char *path, const char *device)
{
    struct hx_mount options = {.size = sizeof(options)};
    if (!str_copy(options.device, device, sizeof(options.device))) {
        return false;
    }
    enum hx_status status = hx_mount_device(type, path, &options, 0);
    if (status != HX_OK && status != HX_ERR_INVALID) {
        hx_printf("init: %s: %s\n", device, hx_status_words(status));
    }
    return status != HX_ERR_INVALID;
}

/* What mount=TYPE:PATH asks for: the first device that holds a file system of that type. Without
 * any device there is nothing to load a module for. */
static void mount_disk(const char *wish)
{
    char type[16], disks[1024];
    static const char list[] = "/proc/disks";
    const char *path = strchr(wish, ':');
    s64 handle = hx_sys_file_open(HX_HANDLE_NONE, list, strlen(list), HX_OPEN_READ, 0);
    s64 n = handle < 0 ? handle : hx_sys_file_read((hx_handle_t)handle, disks, sizeof(disks) - 1);
    if (handle >= 0) {
        HX_IGNORE(hx_handle_close((hx_handle_t)handle), "it is ours");
    }
    if (!path || (size_t)(path - wish) >= sizeof(type) || n <= 0) {
        return;
    }
    memcpy(type, wish, (size_t)(path - wish));
    type[path - wish] = '\0';
    disks[n] = '\0';
    path++;
    hx_handle_t null = open_null(HX_OPEN_WRITE);
    kernel_to(null, "load", type);
    if (null != HX_HANDLE_NONE) {
        HX_IGNORE(hx_handle_close(null), "it is ours");
    }
    s64 made = hx_sys_directory_create(HX_HANDLE_NONE, path, strlen(path), 0755);
    if (made < 0 && made != HX_ERR_EXISTS) {
        hx_printf("init: %s: %s\n", path, hx_status_words((enum hx_status)made));
        return;
    }
    for (char *line = disks, *end; (end = strchr(line, '\n')); line = end + 1) {
        char *name_end = strchr(line, ' ');
        *(name_end && name_end < end ? name_end : end) = '\0';
        if (mount_device(type, path, line)) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const char *wish = hx_environment("mount");
    if (wish) {
        mount_disk(wish);
    }
    const char *line = hx_environment("exec"), *nonce = hx_environment("nonce");
    if (line) {
        exec(line, nonce ? nonce : "0");
        return 1; /* the machine should have ended */
    }
    for (u64 back_off = BACK_OFF_MIN;;) {
        u64 value = 0, began = hx_clock(HX_CLOCK_MONOTONIC);
        enum hx_status status = run_shell(NULL, hx_standard(HX_STDIN), &value);
        if (status != HX_OK) {
            hx_printf("init: %s: %s\n", SHELL, hx_status_words(status));
        }
        bool soon = hx_clock(HX_CLOCK_MONOTONIC) - began < SOON_NS;
        if (status != HX_OK || (soon && value != 0)) {
            hx_sleep(back_off);
            back_off = back_off * 2 < BACK_OFF_MAX ? back_off * 2 : BACK_OFF_MAX;
        } else {
            back_off = BACK_OFF_MIN;
        }
    }
}
