# SPDX-License-Identifier: MIT
"""The scheduler's promises at full size: hours of virtual time, all task sets simulated."""
from hosttools.suites import each

SUITE = "nightly"


@each(**{goal: {"goal": goal} for goal in ("g1", "g2", "g4", "split", "g6", "g7", "g8", "g9",
                                           "g11", "g13")})
def test_dis_goal(t, goal):
    t.build("host", ["tools"], "release")
    done = t.run("build/host/release/bin/dis-goals", goal, "--nightly", timeout=6 * 3600)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_dis_host_threads_as_cpus(t):
    t.build("host", ["tools"], "release")
    done = t.run("build/host/release/bin/dis-threads", "900", timeout=1000)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@each(x86_64={"arch": "x86_64"}, aarch64={"arch": "aarch64"})
def test_dis_twenty_admitted_sets_for_ten_seconds_each(t, arch):
    """With a change of policy every millisecond: 200 seconds are more than ten thousand."""
    done = t.exec("stress realtime --count 20 --seed 1", arch=arch, icount=True,
                  cmdline="realtime=1000 guard=10 system=10 rtms=10000", timeout=3 * 3600)
    assert done.status == 0, (done.output, done.panic)
