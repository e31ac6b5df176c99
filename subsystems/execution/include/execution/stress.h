/* SPDX-License-Identifier: MIT */
/* Stress runs: many tasks on all CPUs do random things and count them on both sides, so that what
 * is lost, done twice or leaked shows. They are a linker set, beside what they stress.
 */
#ifndef EXECUTION_STRESS_H
#define EXECUTION_STRESS_H

#include <core/task.h>
#include <helix/compiler.h>
#include <helix/status.h>

/* Marking: I immutable; a atomic. */
struct stress_run {
    u64 seed, count; /* I: operations wanted */
    u32 threads;     /* I: wanted */
    u64 attempted;   /* a: operations begun */
    u64 failed;      /* a: of those, refused with a status: no memory, a deadline that passed */
    u64 lost;        /* a: invariants broken */
};

struct stress {
    const char *name;
    u64 count; /* where the command line says none */
    /* Return: HX_OK, when it could be done at all; what was lost is in the counts.
     * Context: the shell's thread. */
    enum hx_status (*run)(struct stress_run *run);
};

#define STRESS(id, ...)                                                                            \
    static const struct stress stress_of_##id = {__VA_ARGS__};                                     \
    HX_SET_ADD(stresses, stress_of_##id)
HX_SET_DECLARE(stresses, struct stress);

/* One of the tasks of a run. */
struct stress_worker {
    struct stress_run *run;                /* I */
    struct task *task;                     /* I */
    u32 index;                             /* I */
    u64 random;                            /* its own: state of stress_random() */
    u64 left;                              /* its own, read by the watch: operations to go */
    void (*body)(struct stress_worker *w); /* I: one operation */
    void (*end)(struct stress_worker *w);  /* I: gives everything back; may be NULL */
    const char *doing;                     /* its own, for who asks why it hangs */
    void *own;                             /* its own memory, zeroed at first */
};

/* Creates run->threads tasks (fewer when memory ends), has them do run->count operations in all,
 * and waits for them. When nothing moves for half a minute, what hangs is printed and counted as
 * lost, and its memory is left alone. Return: HX_OK; HX_ERR_NO_MEMORY, not one task;
 * HX_ERR_TIMED_OUT. Context: thread. */
enum hx_status stress_workers_run(struct stress_run *run, size_t own_size,
                                  void (*body)(struct stress_worker *w),
                                  void (*end)(struct stress_worker *w)) HX_MUST_CHECK;

/* Counts a broken invariant, and prints the first few. Thread. */
void stress_lost(struct stress_run *run, const char *fmt, ...) HX_PRINTF(2, 3);

static inline void stress_count(u64 *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* The next number of the sequence that *state stands in. Spec: SplitMix64. */
static inline u64 stress_random(u64 *state)
{
    u64 z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline u32 stress_below(struct stress_worker *w, u32 limit)
{
    return (u32)(stress_random(&w->random) % limit);
}

#endif
