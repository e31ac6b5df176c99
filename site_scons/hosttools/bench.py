# SPDX-License-Identifier: MIT
"""Benchmarks: the guest's `bench --json` under the instruction clock, and the committed baseline.

With one processor and -icount shift=0 one guest instruction is one virtual nanosecond, so figures
are exact and the same on every machine, and two per cent is a real difference. They count path
length: they say nothing of caches or of parallel speed.
"""
import contextlib
import dataclasses
import json
import os
import tempfile

from .errors import HelixError
from .guest import run_command
from .machine import Machine, output

BASELINE = "tests/bench/baseline.json"
TOLERANCE = 0.02
FIELDS = ("min", "p50", "p99", "max", "n")
# Without ERMS: under this clock `rep movsb` would cost one instruction per byte.
CPU = {"x86_64": "max,-erms", "aarch64": "cortex-a57"}
DISK_READY = "mkfs helixfs vda && mount helixfs /data vda && "
NONCE = "0123456789abcdef"      # the same for every run, so that every run is the same


def machine(arch, variant="release", disks=()):
    """The one machine that figures are comparable on; block.* want a disk."""
    if arch not in CPU:
        raise HelixError(f"bench: --arch {arch} does not boot; choose x86_64 or aarch64")
    return Machine(arch=arch, variant=variant, cpu=CPU[arch], icount=True, mib=256,
                   disks=list(disks))


def parse(text, arch):
    """The guest's lines, each checked: a dict by name."""
    figures = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            figure = json.loads(line)
            numbers = [figure[field] for field in FIELDS]
            name = figure["name"]
            valid = (isinstance(name, str) and figure["arch"] == arch
                     and isinstance(figure["unit"], str) and name not in figures
                     and all(isinstance(v, int) and v >= 0 for v in numbers)
                     and numbers == sorted(numbers[:4]) + numbers[4:] and numbers[4] > 0)
        except (ValueError, KeyError, TypeError):
            valid = False
        if not valid:
            raise HelixError(f"bench: the guest printed something else than a figure: {line!r}")
        figures[name] = figure
    return figures


def size_of_kernel(arch, variant):
    size = os.path.getsize(output(arch, variant, "helix-kernel"))
    return {"name": "size.kernel", "arch": arch, "unit": "bytes", "min": size, "p50": size,
            "p99": size, "max": size, "n": 1}


def wants_disk(name):
    return name.startswith("fs.") and not name.startswith("fs.ramfs")


@contextlib.contextmanager
def scratch_disk():
    """A sparse disk of 1 GiB, for as long as it is needed."""
    with tempfile.NamedTemporaryFile(prefix="helix-bench-", suffix=".img") as file:
        file.truncate(1 << 30)
        yield file.name


def inside_guest(what, ready, names, timeout):
    """What the guest's bench says of these, after the command line `ready`."""
    result = run_command(what, f"{ready}bench {' '.join(['--json', *names])}", timeout, nonce=NONCE)
    if result.status != 0:
        raise HelixError("bench: " + (result.reason or
                                      f"the guest's bench exits with {result.status}"),
                         result.panic or result.output or result.log)
    return parse(result.output, what.arch)


def run(what, names, timeout):
    """Run the named benchmarks, or all; a list of figures."""
    inside = [name for name in names if name != "size.kernel"]
    on_disk = [name for name in inside if wants_disk(name)]
    others = [name for name in inside if name not in on_disk]
    figures = {}
    if on_disk or not names:
        with scratch_disk() as path:
            disk = dataclasses.replace(what, disks=[path])
            figures.update(inside_guest(disk, DISK_READY, on_disk or ["fs.*"], timeout))
    if others or not names: # the RAM file system's figures are those without a disk
        figures.update(inside_guest(what, "", others, timeout))
    if inside and not figures:
        raise HelixError("bench: the guest printed no figure")
    if not names or "size.kernel" in names:
        figures["size.kernel"] = size_of_kernel(what.arch, what.variant)
    return list(figures.values())


def show(figures, as_json):
    if as_json:
        for figure in figures:
            print(json.dumps(figure, separators=(",", ":")))
        return
    print(f"{'name':<30} {'unit':<13}" + "".join(f"{field:>12}" for field in FIELDS))
    for figure in figures:
        print(f"{figure['name']:<30} {figure['unit']:<13}" +
              "".join(f"{figure[field]:>12}" for field in FIELDS))


def read_baseline():
    """{arch: {name: p50}}"""
    try:
        with open(BASELINE, encoding="ascii") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise HelixError(f"{BASELINE}: {error}") from None


def update_baseline(figures):
    baseline = read_baseline() if os.path.exists(BASELINE) else {}
    for figure in figures:
        baseline.setdefault(figure["arch"], {})[figure["name"]] = figure["p50"]
    with open(BASELINE, "w", encoding="ascii") as file:
        json.dump(baseline, file, indent=4, sort_keys=True)
        file.write("\n")


def compare(figures, baseline):
    """[(name, complaint or None)] of an architecture's figures against its part of the baseline.

    A figure without a baseline, and a baseline without its figure, are failures: otherwise a
    benchmark could slip out of the gate by being renamed.
    """
    verdicts, seen = [], set()
    for figure in figures:
        name, value = figure["name"], figure["p50"]
        seen.add(name)
        base = baseline.get(name)
        if base is None:
            verdicts.append((name, f"{value}, no baseline: ./helix bench --update-baseline"))
        elif value > base * (1 + TOLERANCE):
            verdicts.append((name, f"{value}, baseline {base}: {(value / base - 1) * 100:.1f} % "
                                   "worse" if base else f"{value}, baseline 0"))
        else:
            verdicts.append((name, None))
    verdicts += [(name, "in the baseline, but not measured") for name in baseline
                 if name not in seen]
    return verdicts
