/* SPDX-License-Identifier: MIT */
/* The first process: what it is given.
 * Owns:      nothing.      Caller: kernel_main.      Context: thread.
 * The handles are put into a table of their own, from which the process gets copies: the way of
 * every other process, with the kernel as the parent.
 */
#include <core/execution.h>
#include <core/shell.h>
#include <execution/process.h>
#include <execution/thread.h>
#include <helix/cmdline.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/string.h>
#include "vfs_priv.h"

#define ENVIRONMENT_MAX   2048
#define REALTIME_PERMILLE 900 /* what it may hand on of the right to be Realtime */

/* Adds a handle, or a gap when there is nothing to name. */
static enum hx_status give(struct handle_table *table, struct object *object, u32 rights,
                           hx_handle_t *out_handle)
{
    enum hx_status status = handle_add(table, object, rights, out_handle);
    if (status != HX_OK) {
        object_put(object);
    }
    return status;
}

static enum hx_status give_console(struct handle_table *table, hx_handle_t *handles)
{
    static const char path[] = "/dev/console";
    struct vfs_start start = namespace_start(namespace_boot());
    struct file *file;
    u32 rights;
    enum hx_status status =
        vfs_open(&start, path, sizeof(path) - 1, HX_OPEN_READ | HX_OPEN_WRITE, 0, &file, &rights);
    for (u32 i = HX_STDIN; status == HX_OK && i <= HX_STDERR; i++) {
        object_get(file_object(file));
        status = give(table, file_object(file), rights, &handles[i]);
    }
    if (status == HX_OK) {
        file_put(file);
    }
    return status;
}

/* The words of the command line that it acts on, as its environment. */
static size_t make_environment(char *environment)
{
    static const char *const words[] = {"exec", "nonce", "mount"};
    size_t used = 0;
    for (u32 i = 0; i < HX_ARRAY_SIZE(words); i++) {
        const char *value = cmdline_get(words[i]);
        size_t room = ENVIRONMENT_MAX - used;
        size_t n = value ? format_buffer(environment + used, room, "%s=%s", words[i], value) : 0;
        if (n >= room) {
            log_error("init", "the command line's %s is too long", words[i]);
        } else if (n > 0) {
            used += n + 1;
        }
    }
    return used;
}

/* Not inlined: a debugger's place to stop, when all is up and nothing runs yet. */
HX_NOINLINE enum hx_status execution_first_process(const char *name, s64 *out_status)
{
    static char environment[ENVIRONMENT_MAX];
    char path[HX_FILE_NAME_MAX + 8], args[HX_FILE_NAME_MAX + 1];
    struct handle_table table;
    hx_handle_t handles[5] = {0};
    struct object *right;
    struct process *process = NULL;
    if (!namespace_start(namespace_boot()).root.mount) {
        return HX_ERR_NOT_READY; /* the files did not start: nothing has a name */
    }
    if (!str_copy(args, name, sizeof(args))) {
        return HX_ERR_NAME_TOO_LONG;
    }
    format_buffer(path, sizeof(path), "/bin/%s", name);
    handle_table_init(&table, NULL);
    enum hx_status status = give_console(&table, handles);
    if (status == HX_OK) {
        status = give(&table, system_object_get(), HX_RIGHTS_ALL, &handles[3]);
    }
    if (status == HX_OK) {
        status = realtime_right_create(REALTIME_PERMILLE, &right);
    }
    if (status == HX_OK) {
        status = give(&table, right, HX_RIGHTS_ALL, &handles[4]);
    }
    if (status == HX_OK) {
        struct process_request request = {
            .name = path,
            .args = args,
            .args_size = strlen(args) + 1,
            .environment = environment,
            .environment_size = make_environment(environment),
            .from = &table,
            .handles = handles,
            .handle_count = HX_ARRAY_SIZE(handles),
        };
        status = process_start(&request, &process);
    }
    handle_table_fini(&table);
    if (status == HX_OK) {
        status = process_wait(process, WAIT_FOREVER, out_status);
        process_put(process);
    }
    return status;
}
