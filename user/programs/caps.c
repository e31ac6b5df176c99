/* SPDX-License-Identifier: MIT */
/* caps: what a program can do with its handles, and what it cannot; every status that the table of
 * calls promises for them. `caps token TEXT` is the other side of a sealed token.
 */
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/process.h>
#include <hx/random.h>
#include <hx/syscall.h>
#include "expect.h"

#define ALL   HX_RIGHTS_ALL
#define NEVER HX_DEADLINE_NEVER

static s64 use(s64 handle)
{
    u64 status;
    return hx_sys_process_wait((hx_handle_t)handle, 0, &status);
}

static void close_handle(s64 handle)
{
    EXPECT_STATUS(HX_OK, hx_sys_handle_close((hx_handle_t)handle));
}

static void derive_and_revoke(hx_handle_t process)
{
    s64 a = hx_sys_handle_derive(process, ALL, NEVER, 0);
    s64 b = hx_sys_handle_derive((hx_handle_t)a, HX_RIGHT_WAIT, NEVER, 0);
    s64 copy = hx_sys_handle_duplicate((hx_handle_t)a, HX_RIGHT_WAIT);
    EXPECT(a > 0 && b > 0 && copy > 0, "derive gives %lld %lld", (long long)a, (long long)b);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(b));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_sys_process_kill((hx_handle_t)b, 1));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_sys_handle_derive((hx_handle_t)b, HX_RIGHT_WAIT, NEVER, 0));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_sys_handle_revoke((hx_handle_t)b));
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_handle_derive(process, ALL + 1, NEVER, 0));
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_handle_derive(process, 0, NEVER, 2));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE,
                  hx_syscall4(HX_SYS_handle_derive, process | 1ull << 32, 0, NEVER, 0));
    EXPECT_STATUS(HX_OK, hx_sys_handle_revoke((hx_handle_t)a));
    EXPECT_STATUS(HX_ERR_REVOKED, use(b));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(a));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(copy));
    EXPECT_STATUS(HX_OK, hx_sys_handle_revoke(process));
    EXPECT_STATUS(HX_ERR_REVOKED, use(a));
    EXPECT_STATUS(HX_ERR_REVOKED, use(copy));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(process));
    close_handle(a);
    close_handle(b);
    close_handle(copy);
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, use(b));
}

static void depth_expiry_claim(hx_handle_t process)
{
    s64 chain[9];
    s64 last = process;
    for (u32 i = 0; i < 8; i++) {
        last = chain[i] = hx_sys_handle_derive((hx_handle_t)last, ALL, NEVER, 0);
        EXPECT(last > 0, "derivation %u gives %lld", i + 1, (long long)last);
    }
    EXPECT_STATUS(HX_ERR_LOOP, hx_sys_handle_derive((hx_handle_t)last, ALL, NEVER, 0));
    for (u32 i = 0; i < 8; i++) {
        close_handle(chain[i]);
    }
    s64 brief = hx_sys_handle_derive(process, ALL, hx_deadline_after(50 * HX_NS_PER_MS), 0);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(brief));
    hx_sleep(60 * HX_NS_PER_MS);
    EXPECT_STATUS(HX_ERR_REVOKED, use(brief));
    close_handle(brief);
    s64 claimed = hx_sys_handle_derive(process, ALL, NEVER, HX_DERIVE_EXCLUSIVE);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(claimed));
    EXPECT_STATUS(HX_ERR_BUSY, use(process));
    EXPECT_STATUS(HX_ERR_BUSY, hx_sys_handle_derive(process, ALL, NEVER, HX_DERIVE_EXCLUSIVE));
    struct hx_handle_info info;
    EXPECT_STATUS(HX_OK, hx_sys_handle_info((hx_handle_t)claimed, &info));
    EXPECT(info.size == sizeof(info) && info.exclusive == 1 && info.depth == 1 &&
               info.rights == ALL && info.type == HX_OBJECT_PROCESS && info.status == HX_OK,
           "info says %u %u %u", info.size, info.exclusive, info.depth);
    close_handle(claimed);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(process));
}

static void tokens(hx_handle_t process)
{
    struct hx_token token, changed;
    u64 soon = hx_deadline_after(HX_NS_PER_SEC), self = (u64)hx_sys_process_id(0);
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_token_export(process, HX_RIGHT_WAIT, NEVER, 0, &token));
    EXPECT_STATUS(HX_OK, hx_sys_token_export(process, HX_RIGHT_WAIT, soon, self, &token));
    s64 opened = hx_sys_token_import(&token), again = hx_sys_token_import(&token);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(opened));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(again));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_sys_process_kill((hx_handle_t)opened, 1));
    for (u32 i = 0; i < sizeof(token); i++) { /* every byte counts */
        changed = token;
        ((u8 *)&changed)[i] ^= 1 << i % 8;
        EXPECT_STATUS(HX_ERR_SIGNATURE, hx_sys_token_import(&changed));
    }
    EXPECT_STATUS(HX_OK, hx_sys_handle_revoke(process));
    EXPECT_STATUS(HX_ERR_REVOKED, hx_sys_token_import(&token));
    EXPECT_STATUS(HX_ERR_REVOKED, use(opened));
    close_handle(opened);
    close_handle(again);
    EXPECT_STATUS(HX_OK, hx_sys_token_export(process, HX_RIGHT_WAIT, soon, self + 1, &token));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_sys_token_import(&token));
    EXPECT_STATUS(HX_OK, hx_sys_token_export(process, HX_RIGHT_WAIT,
                                             hx_deadline_after(30 * HX_NS_PER_MS), 0, &token));
    opened = hx_sys_token_import(&token);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, use(opened));
    hx_sleep(40 * HX_NS_PER_MS);
    EXPECT_STATUS(HX_ERR_REVOKED, hx_sys_token_import(&token));
    EXPECT_STATUS(HX_ERR_REVOKED, use(opened));
    close_handle(opened);
}

/* What a limited process sees: started without limits, it waits until it has some. Return: the exit
 * status, 0 when each was met at its place and answered by its own status. */
static int limited(void)
{
    static const char *const argv[] = {"true"};
    struct hx_quota_count count = {.limit = HX_DEADLINE_NEVER};
    hx_handle_t process, other;
    u64 first, made = 0, end = hx_deadline_after(10 * HX_NS_PER_SEC);
    if (hx_process_spawn("bin/true", 1, argv, &process) != HX_OK ||
        hx_sys_quota_read(HX_QUOTA_HANDLES, &count) != HX_OK) {
        return 2;
    }
    for (first = count.limit; count.limit == first; hx_sleep(HX_NS_PER_MS)) {
        if (hx_clock(HX_CLOCK_MONOTONIC) > end ||
            hx_sys_quota_read(HX_QUOTA_HANDLES, &count) != HX_OK) {
            return 3;
        }
    }
    if (hx_process_spawn("bin/true", 1, argv, &other) != HX_ERR_LIMIT) {
        return 4; /* of threads */
    }
    s64 last = 0, handle;
    while ((handle = hx_sys_handle_duplicate(process, ALL)) > 0) {
        last = handle;
        made++;
    }
    if (handle != HX_ERR_LIMIT || made != count.limit - count.used) {
        return 5;
    }
    if (hx_sys_handle_close((hx_handle_t)last) != HX_OK ||
        hx_sys_handle_duplicate(process, ALL) <= 0) {
        return 6; /* there is room again */
    }
    return 0;
}

static void quotas(void)
{
    struct hx_quota_count before = {0}, after = {0};
    u64 status = 99;
    hx_handle_t child;
    const char *const argv[] = {"caps", "limited"};
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_quota_read(HX_QUOTA_COUNT, &before));
    EXPECT_STATUS(HX_OK, hx_sys_quota_read(HX_QUOTA_HANDLES, &before));
    EXPECT(before.used > 0 && before.used <= before.limit && before.used <= before.peak,
           "%llu handles used of %llu", (unsigned long long)before.used,
           (unsigned long long)before.limit);
    EXPECT_STATUS(HX_OK, hx_process_spawn("bin/caps", 2, argv, &child));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_sys_quota_limit(child, HX_QUOTA_HANDLES, before.limit + 1));
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_quota_limit(child, HX_QUOTA_COUNT, 1));
    hx_sleep(200 * HX_NS_PER_MS); /* it starts a program before it looks at its limits */
    EXPECT_STATUS(HX_OK, hx_sys_quota_limit(child, HX_QUOTA_THREADS, 1));
    EXPECT_STATUS(HX_OK, hx_sys_quota_limit(child, HX_QUOTA_HANDLES, 40));
    EXPECT_STATUS(HX_OK, hx_process_wait(child, hx_deadline_after(30 * HX_NS_PER_SEC), &status));
    EXPECT(status == 0, "the limited process ends with %llu", (unsigned long long)status);
    EXPECT_STATUS(HX_OK, hx_sys_quota_read(HX_QUOTA_HANDLES, &after));
    EXPECT(after.limit == before.limit, "its limit became ours");
    close_handle(child);
}

/* For each call of the table that takes a handle first: none, one of no use, one without rights. */
#define N                                                                                          \
    {                                                                                              \
        0                                                                                          \
    }
#define V(name)                                                                                    \
    {                                                                                              \
        0                                                                                          \
    }
#define F(name, mask)                                                                              \
    {                                                                                              \
        0                                                                                          \
    }
#define I(name, length)                                                                            \
    {                                                                                              \
        0                                                                                          \
    }
#define O(name, length)                                                                            \
    {                                                                                              \
        0                                                                                          \
    }
#define H(name, type, needs)                                                                       \
    {                                                                                              \
        (type), (needs), true                                                                      \
    }
static const struct {
    u64 number;
    const char *name;
    struct {
        u32 type, rights;
        bool is_handle;
    } args[6];
} calls[] = {
#define CALL(number_, name_, ...) {.number = (number_), .name = #name_, .args = {__VA_ARGS__}},
    HX_SYSCALLS(CALL)
#undef CALL
};

static void table_is_true(hx_handle_t process)
{
    s64 weak = hx_sys_handle_duplicate(process, 0);
    static u64 page[64] HX_ALIGNED(64);
    for (u32 i = 0; i < HX_ARRAY_SIZE(calls); i++) {
        if (!calls[i].args[0].is_handle) {
            continue;
        }
        u64 at = (u64)(uintptr_t)page, type = calls[i].args[0].type;
        s64 none = hx_syscall6(calls[i].number, 0xfffffff0, 0, 0, 0, 0, 0);
        EXPECT(none < 0 && none != HX_ERR_BAD_SYSCALL, "%s with no handle gives %lld",
               calls[i].name, (long long)none); /* mostly BAD_HANDLE; others look at more first */
        if (type == HX_OBJECT_NONE || type == HX_OBJECT_PROCESS) {
            if (calls[i].args[0].rights) {
                EXPECT(hx_syscall6(calls[i].number, (u64)weak, 0, 0, 0, at, 0) == HX_ERR_ACCESS,
                       "%s does not mind missing rights", calls[i].name);
            }
        }
    }
    close_handle(weak);
}

int main(int argc, char **argv)
{
    hx_handle_t process;
    if (argc == 2 && str_equal(argv[1], "sleep")) {
        hx_sleep(600 * HX_NS_PER_SEC);
        return 0;
    }
    if (argc == 2 && str_equal(argv[1], "limited")) {
        return limited();
    }
    const char *const sleeper[] = {"caps", "sleep"};
    EXPECT_STATUS(HX_OK, hx_process_spawn("bin/caps", 2, sleeper, &process));
    derive_and_revoke(process);
    depth_expiry_claim(process);
    tokens(process);
    table_is_true(process);
    quotas();
    EXPECT_STATUS(HX_OK, hx_process_kill(process));
    close_handle(process);
    return expect_result("caps");
}
