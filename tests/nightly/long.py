# SPDX-License-Identifier: MIT
"""What is too long for CI: every board in every variant, many boots, long fuzzing."""
import re

from hosttools import bench, suites
from hosttools.suites import arches, each, load

boards = load("tests/boot/boards.py")
FUZZ_SECONDS = 900


@each(**{f"{name}-{variant}": {"variant": variant, **row}
         for variant in ("debug", "asan") for name, row in boards.ROWS.items()})
def test_boots(t, **row):
    boards.test_boots(t, **row)


@each(**{f"{arch}-{variant}-smp{smp}": {"arch": arch, "variant": variant, "smp": smp}
         for arch in ("x86_64", "aarch64") for variant in ("release", "debug", "asan")
         for smp in (1, 8)})
def test_kernel_units(t, **keywords):
    return suites.run_kernel(t, **keywords)


@arches
def test_two_hundred_boots(t, arch):
    for number in range(200):
        result = t.exec("version", arch=arch, smp=1 + number % 4)
        assert result.status == 0, (number, result.reason, result.log)


@arches
def test_figures_repeat(t, arch):
    """Instructions are exact; only when QEMU delivers a disk's answer to the loader is not."""
    what = bench.machine(arch)
    t.build(arch, what.targets(), what.variant)
    first = {f["name"]: f["p50"] for f in bench.run(what, [], 900)}
    for _ in range(20):
        again = {f["name"]: f["p50"] for f in bench.run(bench.machine(arch), [], 900)}
        assert again.keys() == first.keys()
        moved = {n: (first[n], v) for n, v in again.items() if abs(v - first[n]) > first[n] / 200}
        assert not moved, moved


@each(**{stem.split("/")[-1]: {"stem": stem} for stem in suites.c_tests("fuzz")})
def test_fuzz_long(t, stem):
    suites.run_fuzz(t, stem, FUZZ_SECONDS)


@arches
def test_every_command_line_of_noise_is_survived(t, arch):
    """Lines of bytes typed at the shell, from a fixed seed; then it must still answer."""
    guest = t.boot(arch=arch)
    guest.expect("helix> ")
    state = 12345
    for _ in range(300):
        line = ""
        for _ in range(40):
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            line += chr(1 + (state >> 33) % 127)
        # Words that end or stop the machine are kept out by the digits between the letters.
        guest.send(re.sub(r"[a-z](?=[a-z])", lambda m: m[0] + "7", line) + "\r")
    guest.send("\x15\recho alive\r")
    guest.expect(r"^alive\r?$", 60)


programs = load("tests/user/programs.py")


@arches
def test_ten_million_fuzzed_calls(t, arch):
    programs.fuzz(t, arch, 10_000_000, seed=1000, timeout=3600)


def test_every_bit_of_metadata(t):
    load("tests/fs/helixfs.py").flips(t, 1, "fast", timeout=3600)
