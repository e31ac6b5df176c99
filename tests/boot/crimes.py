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
    "sleep-with-lock": r"task main: sleeping while low \(rank \d+\) is held",
    "sleep-without-preemption": r"task main: sleeping with preemption off",
}
STACK = r"kernel stack overflow of task digger at 0x[0-9a-f]+"


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
