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
