# SPDX-License-Identifier: MIT
"""Tracing and health: what `trace dump` writes, a viewer can load; losses are in sight."""
import json

from hosttools.suites import each

ARCHES = ("x86_64", "aarch64")


def dump(t, line, **keywords):
    result = t.exec(f"trace start; {line}; echo '@dump'; trace dump", timeout=120, **keywords)
    assert result.status == 0, (result.output[-2000:], result.panic or result.log)
    return json.loads(result.output.split("@dump\n")[1])


@each(**{f"{arch}-{smp}": {"arch": arch, "smp": smp} for arch in ARCHES for smp in (1, 4)})
def test_a_dump_shows_what_happened(t, arch, smp):
    for _attempt in range(3):   # a host that is busy otherwise makes more events than a ring holds
        data = dump(t, "run spawner tree 2 2; run threads 20", arch=arch, smp=smp)
        if not any(cpu["lost"] for cpu in data["otherData"].values()):
            break
    events = data["traceEvents"]
    assert len(data["otherData"]) == smp, data["otherData"]
    names = {e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert {"main", "spawner", "shell"} <= names, names
    spans = [e for e in events if e["ph"] == "X"]
    for span in spans:
        assert span["ts"] >= 0 and span["dur"] >= 0, span
    categories = {e["cat"] for e in spans}
    assert {"sched", "syscall", "irq", "fault"} <= categories, categories
    calls = {e["name"] for e in spans if e["cat"] == "syscall"}
    assert {"process_start", "process_wait", "thread_create"} <= calls and "?" not in calls, calls
    # Who runs on a CPU runs alone: the spans of a CPU's track follow each other.
    for cpu in range(smp):
        end = 0
        for span in (e for e in spans if e["cat"] == "sched" and e["tid"] == cpu):
            assert span["ts"] >= end - 0.001, (end, span)
            end = span["ts"] + span["dur"]
    assert any(e["ph"] == "i" and e["name"].startswith("wake ") for e in events)


@each({"arch": "x86_64"}, {"arch": "aarch64"})
def test_what_is_lost_is_counted_and_in_sight(t, arch):
    data = dump(t, "run threads 400; run spawner tree 3 4; run spawner tree 3 4", arch=arch)
    lost = data["otherData"]["cpu0"]["lost"]
    assert lost > 0 and data["otherData"]["cpu0"]["recorded"] == lost + 8192, data["otherData"]
    marks = [e for e in data["traceEvents"] if e["cat"] == "lost"]
    assert [m["args"]["lost"] for m in marks] == [lost], marks


@each({"arch": "x86_64"}, {"arch": "aarch64"})
def test_only_the_kinds_asked_for(t, arch):
    result = t.exec("trace start syscall,fault; run hello; trace dump", arch=arch)
    data = json.loads(result.output[result.output.index("{"):])
    assert {e["cat"] for e in data["traceEvents"] if e["ph"] != "M"} == {"syscall", "fault"}
    assert t.exec("trace start nosuch", arch=arch).status == 2


@each({"arch": "x86_64"}, {"arch": "aarch64"})
def test_health_names_every_component(t, arch):
    result = t.exec("health --json", arch=arch)
    parts = {p["name"]: p for p in map(json.loads, result.output.splitlines())}
    assert result.status == 0 and {"memory", "scheduler", "vfs", "processes"} <= set(parts), parts
    place = {name: number for number, name in enumerate(parts)}
    for name, part in parts.items():
        assert part["state"] == "running" and part["health"] == "well", part
        for need in part["needs"].split():
            if need != "*":
                assert place[need] < place[name], (name, need)


@each({"arch": "x86_64"}, {"arch": "aarch64"})
def test_shutting_down_ends_processes_first(t, arch):
    guest = t.boot(arch=arch, cmdline="loglevel=debug")
    guest.expect("helix> ")
    guest.send("spin & poweroff\r")
    guest.expect("shutting down")
    assert guest.wait(20) == 0 and not guest.timed_out, guest.tail()
