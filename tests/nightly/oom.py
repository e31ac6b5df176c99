# SPDX-License-Identifier: MIT
"""Booting with every allocation failing in its turn; tests/boot/oom.py says what a boot may do."""
from hosttools.suites import each, load

oom = load("tests/boot/oom.py")
LIMIT = 2000
QUIET = 8  # so many in a row that nothing has met: the boot makes no more


@each(**{f"{kind}-{arch}": {"arch": arch, "kind": kind}
         for kind in ("heap", "frame") for arch in oom.ARCHES})
def test_every_allocation_of_the_boot_may_fail(t, arch, kind):
    quiet, met = 0, 0
    for n in range(1, LIMIT):
        whole = oom.boot(t, arch, kind, n) is None
        quiet = quiet + 1 if whole else 0
        met += not whole
        if quiet == QUIET:
            break
    assert quiet == QUIET and met > 10, (quiet, met)
