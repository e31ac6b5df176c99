/* SPDX-License-Identifier: MIT */
/* What processes may: the calls and commands about their capabilities that need to know processes.
 * Context: thread.
 */
#include <core/memory.h>
#include <core/shell.h>
#include <core/syscall.h>
#include <core/task.h>
#include <core/token.h>
#include <execution/process.h>
#include <helix/string.h>

/* Limits may be lowered: what a process has above one it keeps. Raising takes the console. A
 * process so far down that it shares its caller's quota cannot be limited without limiting that. */
s64 sys_quota_limit(u64 handle, u64 kind, u64 limit, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct object *object;
    enum hx_status status = handle_get(task_current()->handles, (hx_handle_t)handle,
                                       HX_OBJECT_PROCESS, HX_RIGHT_ADMIN, &object);
    if (status != HX_OK) {
        return status;
    }
    struct quota *quota = HX_CONTAINER_OF(object, struct process, object)->quota;
    if (kind >= HX_QUOTA_COUNT) {
        status = HX_ERR_INVALID;
    } else if (quota == task_current()->quota) {
        status = HX_ERR_ACCESS;
    } else {
        status = quota_limit_lower(quota, (enum hx_quota)kind, limit);
    }
    object_put(object);
    return status;
}

s64 sys_token_export(u64 handle, u64 rights, u64 expires_ns, u64 audience, u64 token_at, u64 a5)
{
    (void)a5;
    struct handle_table *table = task_current()->handles;
    struct hx_token token;
    struct cap *cap;
    hx_handle_t derived;
    _Static_assert(sizeof(token) == 64, "the table of calls says so");
    /* Its handle is taken back at once: what remains is the capability alone. */
    enum hx_status status = handle_derive(table, (hx_handle_t)handle,
                                          (u32)rights | HX_RIGHT_TRANSFER | HX_RIGHT_DELEGATE,
                                          expires_ns, false, &derived);
    if (status != HX_OK) {
        return status;
    }
    status = handle_take_many(table, &derived, 1, &cap);
    if (status != HX_OK) {
        return status; /* another thread has closed it */
    }
    status = token_seal(cap, audience, task_current()->quota, &token);
    if (status != HX_OK) {
        cap_drop(cap);
        return status;
    }
    return user_copy_out(token_at, &token, sizeof(token));
}

s64 sys_token_import(u64 token_at, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    struct hx_token token;
    struct cap *cap;
    hx_handle_t handle = HX_HANDLE_NONE;
    enum hx_status status = user_copy_in(&token, token_at, sizeof(token));
    if (status == HX_OK) {
        status = token_open(&token, process_current()->id, &cap);
    }
    if (status != HX_OK) {
        return status;
    }
    status = handle_give_many(task_current()->handles, &cap, 1, &handle);
    if (status != HX_OK) {
        cap_drop(cap);
        return status;
    }
    return handle;
}

s64 sys_process_id(u64 handle, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    struct object *object;
    if (handle == HX_HANDLE_NONE) {
        return (s64)process_current()->id;
    }
    enum hx_status status =
        handle_get(task_current()->handles, (hx_handle_t)handle, HX_OBJECT_PROCESS, 0, &object);
    if (status != HX_OK) {
        return status;
    }
    s64 id = (s64)HX_CONTAINER_OF(object, struct process, object)->id;
    object_put(object);
    return id;
}

/* commands */

static void letters(u32 rights, char out[16])
{
    static const char all[] =
        "RWXDCAGEwtvms"; /* READ .. EXCLUSIVE; wait transfer revoke map signal */
    u32 n = 0;
    for (; n < sizeof(all) - 1; n++) {
        out[n] = rights & 1u << n ? all[n] : '-';
    }
    out[n] = '\0';
}

static void print_handles(struct process *process, bool json)
{
    struct hx_handle_info info;
    char rights[16];
    for (u32 cursor = 0; handle_next(&process->handles, &cursor, &info) == HX_OK;) {
        letters(info.rights, rights);
        const char *state = info.status == HX_OK ? "valid" : hx_status_name(info.status);
        bool expires = info.expires_ns != HX_DEADLINE_NEVER;
        shell_printf(json ? "{\"process\":%lu,\"handle\":%u,\"type\":%u,\"rights\":\"%s\","
                            "\"depth\":%u,\"derived\":%u,\"exclusive\":%s,\"expires_ns\":%lu,"
                            "\"state\":\"%s\"}\n"
                          : "%7lu %10x %4u  %s %5u %7u %9s %14lu  %s\n",
                     process->id, info.handle, info.type, rights, info.depth, info.derived,
                     json ? (info.exclusive ? "true" : "false") : (info.exclusive ? "yes" : "-"),
                     expires ? info.expires_ns : 0, state);
    }
}

static int caps_list(bool json, u64 only)
{
    if (!json) {
        shell_printf("%7s %10s %4s  %-13s %5s %7s %9s %14s  %s\n", "process", "handle", "type",
                     "rights", "depth", "derived", "exclusive", "expires-ns", "state");
    }
    struct process *process = NULL;
    for (u64 id = 0; process_next(id, &process); id = process->id, process_put(process)) {
        if (!only || process->id == only) {
            print_handles(process, json);
        }
    }
    return SHELL_OK;
}

static int caps_change(int argc, char **argv)
{
    u64 id, handle, rights = 0;
    bool derive = str_equal(argv[1], "derive");
    if (argc != (derive ? 5 : 4) || !str_to_u64(argv[2], &id) || !str_to_u64(argv[3], &handle) ||
        (derive && !str_to_u64(argv[4], &rights)) || handle > UINT32_MAX || rights > UINT32_MAX) {
        return shell_usage("caps");
    }
    struct process *process;
    if (id == 0 || !process_next(id - 1, &process)) {
        shell_printf("caps: no process %lu\n", id);
        return SHELL_FAILED;
    }
    enum hx_status status = HX_ERR_NOT_FOUND;
    hx_handle_t made = HX_HANDLE_NONE;
    if (process->id == id) {
        status = derive ? handle_derive(&process->handles, (hx_handle_t)handle, (u32)rights,
                                        HX_DEADLINE_NEVER, false, &made)
                        : handle_end(&process->handles, (hx_handle_t)handle);
    }
    process_put(process);
    if (status != HX_OK) {
        shell_printf("caps: %s\n", hx_status_words(status));
        return SHELL_FAILED;
    }
    if (derive) {
        shell_printf("0x%x\n", made);
    }
    return SHELL_OK;
}

static int command_caps(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    u64 only = 0;
    if (argc < 2 || argv[1][0] == '-' || str_equal(argv[1], "list")) {
        if (argc > 2 && argv[2][0] != '-' && !str_to_u64(argv[2], &only)) {
            return shell_usage("caps");
        }
        return caps_list(json, only);
    }
    if (str_equal(argv[1], "derive") || str_equal(argv[1], "revoke")) {
        return caps_change(argc, argv);
    }
    return shell_usage("caps");
}

static void show_quota(struct quota *quota, void *ctx)
{
    bool json = *(bool *)ctx;
    for (u32 kind = 0; kind < HX_QUOTA_COUNT; kind++) {
        const struct quota_count *count = &quota->counts[kind];
        shell_printf(json ? "{\"quota\":%lu,\"kind\":\"%s\",\"used\":%lu,\"peak\":%lu,"
                            "\"limit\":%lu}\n"
                          : "%6lu %-14s %12lu %12lu %20lu\n",
                     quota->id, quota_name(kind), HX_READ_ONCE(count->used),
                     HX_READ_ONCE(count->peak), HX_READ_ONCE(count->limit));
    }
}

struct wanted_limit {
    u64 quota, limit;
    u32 kind;
    bool done;
};

static void set_limit(struct quota *quota, void *ctx)
{
    struct wanted_limit *wanted = ctx;
    if (quota->id == wanted->quota) {
        quota_limit_set(quota, wanted->kind, wanted->limit);
        wanted->done = true;
    }
}

static int command_limits(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    struct wanted_limit wanted = {0};
    if (argc == 5 && str_equal(argv[1], "set") && str_to_u64(argv[2], &wanted.quota) &&
        str_to_u64(argv[4], &wanted.limit)) {
        while (wanted.kind < HX_QUOTA_COUNT && !str_equal(argv[3], quota_name(wanted.kind))) {
            wanted.kind++;
        }
        if (wanted.kind == HX_QUOTA_COUNT) {
            return shell_usage("limits");
        }
        quota_for_each(set_limit, &wanted);
        if (!wanted.done) {
            shell_printf("limits: no quota %lu\n", wanted.quota);
        }
        return wanted.done ? SHELL_OK : SHELL_FAILED;
    }
    if (argc > 1 + json) {
        return shell_usage("limits");
    }
    if (!json) {
        shell_printf("%6s %-14s %12s %12s %20s\n", "quota", "kind", "used", "peak", "limit");
    }
    quota_for_each(show_quota, &json);
    return SHELL_OK;
}

SHELL_COMMAND(caps, "caps",
              "[list [PROCESS]] [--json] | derive PROCESS HANDLE RIGHTS | revoke PROCESS HANDLE",
              "capabilities of processes",
              "Rights: Read Write eXecute Delete Create Admin deleGate Exclusive, wait transfer "
              "reVoke map signal.\nderive gives the process a second handle with fewer rights; "
              "revoke ends the handle and all that was\nderived from it.",
              command_caps);
SHELL_COMMAND(limits, "limits", "[--json] | set QUOTA KIND NUMBER",
              "what trees of processes have, and may have at most",
              "Quota 0 is the whole system. A process has a quota of its own within that of who "
              "started it.",
              command_limits);
