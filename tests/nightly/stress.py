# SPDX-License-Identifier: MIT
"""The stress command as long as it is meant to be: 8 CPUs, 1,000 threads, 200,000 operations."""
import re

from hosttools.suites import each

ARCHES = ("x86_64", "aarch64")
# With checks each operation costs several times as much, and ranks are checked from the first on.
COUNTS = {"release": 200000, "debug": 20000}


@each(**{f"{run}-{variant}-{arch}": {"arch": arch, "variant": variant, "run": run}
         for run in ("sched", "alloc") for variant in COUNTS for arch in ARCHES})
def test_nothing_is_lost_or_leaked_on_8_cpus(t, arch, variant, run):
    count = COUNTS[variant]
    result = t.exec(f"stress {run} --count {count} --seed 1", arch=arch, variant=variant, smp=8,
                    mib=1024, timeout=900)
    assert result.status == 0, (result.output, result.panic)
    assert re.search(rf"1000 threads, 8 CPUs\n  attempted {count}, failed \d+, lost 0, "
                     r"leaked 0 frames;", result.output), result.output
