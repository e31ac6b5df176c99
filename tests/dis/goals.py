# SPDX-License-Identifier: MIT
"""The scheduler's promises, checked in the simulator at the size that CI has time for.

Each goal is a function of tests/dis/goals.c; `build/host/release/bin/dis-goals` without a name
lists them, and a failure prints the seed that repeats it.
"""
import json
import os
import re
import subprocess

from hosttools.suites import each

SUITE = "dis"
BIN = "build/host/release/bin"
GOALS = ("g1", "g2", "g3", "g4", "split", "g6", "g7", "g8", "g9", "g11", "g12", "g13", "g14",
         "speed")


def program(t, name, *words, timeout=170):
    t.build("host", ["tools"], "release")
    return t.run(f"{BIN}/{name}", *words, timeout=timeout)


@each(**{goal: {"goal": goal} for goal in GOALS})
def test_goal(t, goal):
    done = program(t, "dis-goals", goal)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_units(t):
    """Every cmocka case is a result."""
    t.build("host", ["tools"], "release")
    done = subprocess.run([f"{BIN}/dis-units"], text=True, check=False, capture_output=True,
                          env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"}, timeout=120,
                          stdin=subprocess.DEVNULL)
    found = re.findall(r"^(not )?ok \d+ - (\S+)", done.stdout, re.MULTILINE)
    assert done.returncode == 0 or any(bad for bad, _ in found), f"{done.stdout}{done.stderr}"
    assert found, f"{done.stdout}{done.stderr}"
    return [(name, "FAIL" if bad else "ok", done.stdout[-3000:] + done.stderr[-3000:] if bad else "")
            for bad, name in found]


def test_host_threads_as_cpus(t):
    done = program(t, "dis-threads", "8", timeout=60)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_workload_runs_and_explains_itself(t):
    trace, svg = f"{t.tmp}/trace.json", f"{t.tmp}/timeline.svg"
    done = program(t, "dis-sim", "--json", "--trace", trace, "--svg", svg,
                   "tools/dis-sim/workloads/desktop.json")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    tasks = {row["task"]: row for row in rows if "task" in row}
    assert len(tasks) == 12, sorted(tasks)
    assert abs(tasks["audio"]["share"] - 0.14) < 0.001, tasks["audio"]
    assert tasks["editor"]["wake_max_ns"] <= 2_000_000, tasks["editor"]
    assert tasks["indexer"]["share"] >= 0.01, tasks["indexer"]
    assert tasks["holder"]["donated_in_ns"] > 0, tasks["holder"]
    with open(trace, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) > 1000
    with open(svg, encoding="utf-8") as file:
        assert file.read().rstrip().endswith("</svg>")


def test_same_seed_same_run(t):
    digests = set()
    for seed in ("7", "7", "8"):
        done = program(t, "dis-sim", "--json", "--cpus", "4", "--seed", seed,
                       "tools/dis-sim/workloads/pingpong.json")
        assert done.returncode == 0, done.stderr
        digests.add(json.loads(done.stdout.splitlines()[-1])["digest"])
    assert len(digests) == 1, "nothing in this workload is random"


@each(empty={"text": ""}, open={"text": "{"}, no_task={"text": '{"tasks": {}}'},
      no_event={"text": '{"tasks": {"a": {}}}'}, negative={"text": '{"tasks": {"a": {"run": -5}}}'},
      no_time={"text": '{"tasks": {"a": {"run": 0}}}'},
      unknown_event={"text": '{"tasks": {"a": {"fork": "b"}}}'},
      not_a_number={"text": '{"tasks": {"a": {"run": "x"}}}'},
      no_such_cpu={"text": '{"tasks": {"a": {"cpus": [99], "run": 1}}}'},
      unknown_class={"text": '{"tasks": {"a": {"intent": {"class": "god"}, "run": 1}}}'},
      wcet_above_period={"text": '{"tasks": {"a": {"intent": {"class": "realtime", "period": 10, '
                                 '"wcet": 20}, "run": 1}}}'},
      deep={"text": "[" * 100000})
def test_wrong_workload_is_refused(t, text):
    path = f"{t.tmp}/wrong.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    done = program(t, "dis-sim", path)
    assert done.returncode == 1 and done.stderr.startswith("dis-sim: ") and not done.stdout, done


def test_too_much_realtime_says_what_would_fit(t):
    path = f"{t.tmp}/much.json"
    task = {"instance": 2, "run": 1, "sleep": 9,
            "intent": {"class": "realtime", "period": 10000, "wcet": 6000}}
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"tasks": {"much": task}}, file)
    done = program(t, "dis-sim", path)
    assert done.returncode == 1, done
    fit = re.search(r"a wcet of ([\d.]+) us would fit", done.stderr)
    assert fit and 2500 < float(fit[1]) <= 4000, done.stderr


def test_options_are_checked(t):
    for words in (["--cpus", "0"], ["--cpus", "65"], ["--policy", "none"], ["--what"], []):
        done = program(t, "dis-sim", *words)
        assert done.returncode == 2 and done.stderr, (words, done)
    done = program(t, "dis-sim", "--help")
    assert done.returncode == 0 and "--trace" in done.stdout
