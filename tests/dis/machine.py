# SPDX-License-Identifier: MIT
"""The scheduler in the machine: real-time task sets under the instruction clock, intents of
programs, and the commands."""
import json
import re

from hosttools.suites import each

SUITE = "dis"
ARCHES = {arch: {"arch": arch} for arch in ("x86_64", "aarch64")}
FULL = "realtime=1000 guard=10 system=10"


def realtime(t, arch, sets, ms, timeout):
    done = t.exec(f"stress realtime --count {sets} --seed 7", arch=arch, icount=True,
                  cmdline=f"{FULL} rtms={ms}", timeout=timeout)
    assert done.status == 0, (done.output, done.panic)
    found = re.search(r"at least ([\d.]+) % reserved, (\d+) policy exchanges", done.output)
    assert found and float(found[1]) >= 97.0, done.output
    return int(found[2])


@each(**ARCHES)
def test_admitted_sets_meet_their_deadlines_while_policies_change(t, arch):
    assert realtime(t, arch, 3, 300, 240) >= 890  # one every ms


@each(**ARCHES)
def test_programs_get_what_their_rights_allow(t, arch):
    done = t.exec("run intent", arch=arch)
    assert done.status == 0, (done.output, done.panic)
    assert "without the right: 0 wrong" in done.output, done.output


@each(**ARCHES)
def test_commands_say_and_do(t, arch):
    done = t.exec("sched policy round_robin && sched policy --json && sched stats --json && "
                  "intent 1 realtime period=10ms wcet=1ms --json && intent 1 batch && nice 1 -5",
                  arch=arch)
    assert done.status == 0, (done.output, done.panic)
    rows = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    serving = [row["policy"] for row in rows if row.get("serves")]
    assert serving == ["round_robin"], rows
    assert any(row.get("verdict") == "admitted" and row["slack_ns"] > 0 for row in rows), rows
    assert any(row.get("layer") == "fair" and row["switches"] > 0 for row in rows), rows
    for wrong in ("sched policy none", "intent 1 nothing", "intent 99999 batch", "nice 1 99",
                  "intent 1 realtime period=10ms wcet=20ms", "intent 1 realtime period=x"):
        done = t.exec(wrong, arch=arch)
        assert done.status != 0 and done.output, (wrong, done.output)
