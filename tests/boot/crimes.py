# SPDX-License-Identifier: MIT
"""What only a checking variant notices: each crime ends in a panic that names it."""
import re

from hosttools.suites import each

ARCHES = ("x86_64", "aarch64")
LOCKDEP = {
    "lock-order": r"lockdep: low \(rank \d+\) taken while high \(rank \d+\) is held",
    "lock-twice": r"lockdep: low \(rank \d+\) taken while low \(rank \d+\) is held",
    "lock-foreign": r"lockdep: low released by CPU 0, which does not hold it",
}
ASSERTION = r"assertion failed: crime\.two == 3 at tests/kernel/crimes\.c:\d+"
SMASH = r"stack frame was overwritten"
UBSAN = {
    "overflow": "signed addition overflows",
    "negate": "negation overflows",
    "divide": "division by zero",
    "shift": "shift by too much",
    "index": "array index out of bounds",
    "null": "null pointer used",
    "misaligned": "misaligned pointer used",
    "bool": "a value that its type cannot have",
}
KASAN = {
    "global-overflow": r"KASAN: read of 1 bytes at 0x[0-9a-f]{16} by 0x[0-9a-f]{16}: ",
    "copy-overflow": r"KASAN: write of 14 bytes at 0x[0-9a-f]{16} by 0x[0-9a-f]{16}: ",
}

SLEEP = {
    "sleep-in-interrupt": r"task .*: sleeping in an interrupt handler",
    "sleep-with-lock": r"task crime: sleeping while low \(rank \d+\) is held",
    "sleep-without-preemption": r"task crime: sleeping with preemption off",
}
STACK = r"kernel stack overflow of task digger at 0x[0-9a-f]+"

SITE = r"[\w.]+\+0x[0-9a-f]+"
HEAP = {
    "heap-overflow": rf"heap: overflow of 0x[0-9a-f]+ \(kmalloc-48, 40 bytes\): byte 0 past its end "
                     rf"was written; allocated by {SITE}",
    "heap-double-free": rf"heap: double free of 0x[0-9a-f]+ \(kmalloc-128\) by {SITE}; freed before "
                        rf"by {SITE}",
    "heap-use-after-free": rf"heap: use after free: byte 0 of 0x[0-9a-f]+ \(kmalloc-256\) was "
                           rf"written; allocated by {SITE}, freed by {SITE}",
    "heap-foreign-free": rf"heap: 0x[0-9a-f]+ freed by {SITE} is inside an object of kmalloc-384",
}
HEAP_ALWAYS = rf"heap: 0x[0-9a-f]+ freed by {SITE} is not an allocation; its frame's owner is kernel"
HEAP_KASAN = {
    "heap-overflow": r"KASAN: write of 1 bytes at ",
    "heap-use-after-free": r"KASAN: write of 1 bytes at ",
}
MUTEX = r"assertion failed: mutex_is_held\(mutex\) at core/sync/sync\.c:\d+"


def cases(names):
    return {f"{name}-{arch}": {"arch": arch, "crime": name} for name in names for arch in ARCHES}


def commit(t, arch, variant, crime, panic):
    result = t.exec(f"crime {crime}", arch=arch, variant=variant, kernel="helix-kernel-test")
    assert result.status == 125, (result.status, result.output, result.log)
    assert re.search(panic, result.panic.splitlines()[0]), result.panic
    return result.panic


@each(**cases(LOCKDEP))
def test_lock_order_is_checked_in_debug(t, arch, crime):
    commit(t, arch, "debug", crime, LOCKDEP[crime])


@each(**cases(("debug-assertion",)))
def test_debug_assertion_is_checked_in_debug(t, arch, crime):
    commit(t, arch, "debug", crime, ASSERTION)


@each(**cases(("assertion",)))
def test_assertion_is_checked_in_release(t, arch, crime):
    commit(t, arch, "release", crime, ASSERTION)


@each(**cases(("smash",)))
def test_overwritten_frame_is_noticed_in_debug(t, arch, crime):
    commit(t, arch, "debug", crime, SMASH)


@each(**cases(UBSAN))
def test_undefined_behaviour_is_noticed_in_asan(t, arch, crime):
    panic = commit(t, arch, "asan", crime, r"undefined behaviour: " + UBSAN[crime])
    assert re.search(r"at tests/kernel/crimes\.c:\d+:\d+$", panic.splitlines()[0]), panic


@each(**cases(KASAN))
def test_bad_access_is_noticed_in_asan(t, arch, crime):
    commit(t, arch, "asan", crime, KASAN[crime])


@each(**cases(SLEEP))
def test_sleeping_where_nobody_may_is_noticed_in_debug(t, arch, crime):
    commit(t, arch, "debug", crime, SLEEP[crime])


@each(**{f"{variant}-{arch}": {"arch": arch, "variant": variant}
         for variant in ("release", "debug") for arch in ARCHES})
def test_stack_overflow_names_the_task(t, arch, variant):
    commit(t, arch, variant, "stack-of-task", STACK)


@each(**cases(HEAP))
def test_heap_crime_is_noticed_in_debug(t, arch, crime):
    commit(t, arch, "debug", crime, HEAP[crime])


@each(**cases(("heap-frame-free",)))
def test_free_of_no_allocation_is_noticed_in_release(t, arch, crime):
    commit(t, arch, "release", crime, HEAP_ALWAYS)


@each(**cases(HEAP_KASAN))
def test_heap_access_is_noticed_in_asan(t, arch, crime):
    commit(t, arch, "asan", crime, HEAP_KASAN[crime])


@each(**cases(("heap-leak",)))
def test_leak_is_named_by_its_site_in_debug(t, arch, crime):
    result = t.exec(f"crime {crime}; mem --sites", arch=arch, variant="debug",
                    kernel="helix-kernel-test")
    assert re.search(r"^heap_leak\+0x[0-9a-f]+ +3 objects +231 bytes$", result.output,
                     re.MULTILINE), (result.output, result.panic)


@each(**cases(("mutex-foreign",)))
def test_release_of_a_mutex_not_held_is_noticed(t, arch, crime):
    commit(t, arch, "release", crime, MUTEX)
