/* SPDX-License-Identifier: MIT */
/* revoke [ROUNDS]: tries to break the promise that once a revocation has returned on one CPU, no
 * operation that begins later on any CPU succeeds. One thread derives a handle, lets the others use
 * it, revokes it and says so; what the others begin after that must be refused. How often each of
 * the two answers was seen is counted, so that a run in which nobody was there to see is no
 * success.
 */
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/process.h>
#include <hx/syscall.h>
#include <hx/thread.h>
#include "expect.h"

#define USERS 7

static struct {
    u64 offered;             /* a: round << 32 | handle */
    u64 revoked;             /* a: the last round whose revocation has returned */
    u64 used, refused_after; /* a: what is right */
    u64 wrong, other;        /* a: what is not */
    u64 between, closed;     /* a: may be either */
    bool stop;
} test;

static u64 user(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&test.stop, __ATOMIC_RELAXED)) {
        u64 offered = __atomic_load_n(&test.offered, __ATOMIC_ACQUIRE);
        u64 revoked = __atomic_load_n(&test.revoked, __ATOMIC_ACQUIRE);
        u64 status;
        s64 answer = hx_sys_process_wait((hx_handle_t)offered, 0, &status);
        bool after = offered >> 32 <= revoked;
        u64 *count = answer == HX_ERR_TIMED_OUT    ? (after ? &test.wrong : &test.used)
                     : answer == HX_ERR_REVOKED    ? (after ? &test.refused_after : &test.between)
                     : answer == HX_ERR_BAD_HANDLE ? &test.closed /* a round too late */
                                                   : &test.other;
        __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

/* Until some more have been counted, or a millisecond has passed. */
static void wait_for(const u64 *count, u64 more)
{
    u64 until = __atomic_load_n(count, __ATOMIC_RELAXED) + more;
    u64 end = hx_deadline_after(HX_NS_PER_MS);
    while (__atomic_load_n(count, __ATOMIC_RELAXED) < until && hx_clock(HX_CLOCK_MONOTONIC) < end) {
    }
}

int main(int argc, char **argv)
{
    u64 rounds = 1000;
    struct hx_thread users[USERS];
    hx_handle_t process;
    if (argc == 2 && str_equal(argv[1], "sleep")) {
        hx_sleep(600 * HX_NS_PER_SEC);
        return 0;
    }
    if (argc > 2 || (argc == 2 && !str_to_u64(argv[1], &rounds))) {
        hx_printf("usage: revoke [ROUNDS]\n");
        return 2;
    }
    const char *const sleeper[] = {"revoke", "sleep"};
    EXPECT_STATUS(HX_OK, hx_process_spawn("bin/revoke", 2, sleeper, &process));
    for (u32 i = 0; i < USERS; i++) {
        EXPECT_STATUS(HX_OK, hx_thread_create(user, NULL, &users[i]));
    }
    u64 failed = 0;
    for (u64 round = 1; round <= rounds; round++) {
        s64 derived = hx_sys_handle_derive(process, HX_RIGHT_WAIT, HX_DEADLINE_NEVER, 0);
        failed += derived < 0;
        __atomic_store_n(&test.offered, round << 32 | (u64)derived, __ATOMIC_RELEASE);
        wait_for(&test.used, round % 8);
        failed += hx_sys_handle_revoke(process) != HX_OK;
        __atomic_store_n(&test.revoked, round, __ATOMIC_RELEASE);
        wait_for(&test.refused_after, round % 4);
        failed += hx_sys_handle_close((hx_handle_t)derived) != HX_OK;
    }
    __atomic_store_n(&test.stop, true, __ATOMIC_RELEASE);
    for (u32 i = 0; i < USERS; i++) {
        EXPECT_STATUS(HX_OK, hx_thread_join(&users[i], HX_DEADLINE_NEVER, NULL));
    }
    hx_printf("%llu rounds: %llu uses before, %llu refusals after\n", (unsigned long long)rounds,
              (unsigned long long)test.used, (unsigned long long)test.refused_after);
    EXPECT(failed == 0, "%llu calls of the revoking thread failed", (unsigned long long)failed);
    EXPECT(test.wrong == 0, "%llu uses succeeded after the revocation",
           (unsigned long long)test.wrong);
    EXPECT(test.other == 0, "%llu unexpected answers", (unsigned long long)test.other);
    EXPECT(test.used > 0 && test.refused_after > 0, "nobody was there to see");
    EXPECT_STATUS(HX_OK, hx_process_kill(process));
    EXPECT_STATUS(HX_OK, hx_handle_close(process));
    return expect_result("revoke");
}
