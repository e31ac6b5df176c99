# SPDX-License-Identifier: MIT
"""The stress command: short runs on several CPUs, and what it says of wrong use."""
import re

from hosttools.suites import arches, each

ARCHES = ("x86_64", "aarch64")


@each(**{f"{run}-{variant}-{arch}": {"arch": arch, "variant": variant, "run": run}
         for run in ("sched", "alloc") for variant in ("release", "debug") for arch in ARCHES})
def test_nothing_is_lost_or_leaked(t, arch, variant, run):
    result = t.exec(f"stress {run} --count 3000 --threads 200 --seed 1", arch=arch,
                    variant=variant, smp=4, timeout=180)
    assert result.status == 0, (result.output, result.panic)
    assert re.search(r"attempted 3000, failed \d+, lost 0, leaked 0 frames", result.output), \
        result.output


@arches
def test_wrong_use_is_refused(t, arch):
    result = t.exec("stress nosuch; echo $?; stress --count 0; echo $?; stress --seed; echo $?",
                    arch=arch)
    assert "no run called nosuch" in result.output, result.output
    assert re.findall(r"^\d+$", result.output, re.MULTILINE) == ["1", "2", "2"], result.output
