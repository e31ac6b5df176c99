# SPDX-License-Identifier: MIT
"""./helix itself: options, packages, and the runner that every other test relies on."""
import os
import struct

from hosttools import bench, machine, suites
from hosttools.errors import HelixError
from hosttools.guest import ExecOutput, quote

TOOLS = ("sh", "dirname", "readlink", "sed", "cat", "printf", "env", "true")


def small_path(t, **scripts):
    """A folder for PATH that has a few real tools and some of our making."""
    folder = f"{t.tmp}/bin"
    os.makedirs(folder)
    for name in TOOLS:
        os.symlink(f"/usr/bin/{name}", f"{folder}/{name}")
    for name, text in scripts.items():
        path = f"{folder}/{name.replace('_', '-')}"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
    return {"PATH": folder}


def test_no_install_prints_the_line_to_run(t):
    env = small_path(t, dpkg_query="echo 'nasm installed'", id="echo 0", apt_get="exit 9")
    done = t.helix("build", "--no-install", env=env)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "run: apt-get install -y --no-install-recommends python3 scons" in done.stderr
    assert " nasm " not in done.stderr and "qemu-system-arm" in done.stderr, done.stderr


def test_neither_root_nor_sudo_prints_the_line_to_run(t):
    env = small_path(t, dpkg_query="", id="echo 1000", apt_get="exit 9")
    done = t.helix("run", env=env)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "run as root: apt-get install" in done.stderr, done.stderr


def test_missing_packages_are_named_and_installed(t):
    env = small_path(t, dpkg_query="", id="echo 0", apt_get=f'echo "$@" >> {t.tmp}/asked; exit 3')
    done = t.helix("build", env=env)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("helix: installing python3 scons gcc"), done.stderr
    assert "apt-get failed" in done.stderr
    with open(f"{t.tmp}/asked", encoding="ascii") as file:
        assert file.read() == "update -q\n"


def test_no_install_belongs_to_helix_only_before_the_dashes(t):
    env = small_path(t, dpkg_query="", id="echo 0", apt_get="exit 3")
    done = t.helix("exec", "--", "--no-install", env=env)
    assert "apt-get failed" in done.stderr, done.stderr


def test_bad_options_are_one_line_each(t):
    for words in (["fly"], ["run", "--arch", "vax"], ["run", "--smp", "0"], ["exec"],
                  ["run", "--board", "virt"], ["run", "--file", "x"], ["test", "nosuch"],
                  ["exec", "--disk", "/nosuch", "--", "version"],
                  ["run", "--arch", "aarch64", "--firmware", "uefi"],
                  ["exec", "--file", "/nosuch=/a", "--", "version"]):
        done = t.helix(*words, "--no-install") if words[0] != "exec" or len(words) == 1 else \
            t.helix(words[0], "--no-install", *words[1:])
        assert done.returncode == 1, (words, done.returncode)
        assert done.stderr.startswith("helix: ") and done.stderr.count("\n") == 1, done.stderr


def test_works_from_another_folder_and_through_a_link(t):
    os.symlink(os.path.abspath("helix"), f"{t.tmp}/hx")
    done = t.run(f"{t.tmp}/hx", "help", cwd="/")
    assert done.returncode == 0 and "COMMAND" in done.stdout, done.stderr


def feed(chunks):
    output = ExecOutput("ab12")
    shown = b"".join(output.feed(chunk) for chunk in chunks) + output.rest()
    return shown, output.status, output.panic


def test_exec_output_is_exactly_what_the_command_printed(t):
    line = b"[log] x\r\n@helix ab12 begin\r\none\r\n@helix 00 end 7\r\ntwo@helix ab12 end 3\r\nlog"
    want = b"one\n@helix 00 end 7\ntwo"
    assert feed([line]) == (want, 3, b"")
    assert feed([line[i:i + 1] for i in range(len(line))]) == (want, 3, b"")
    for size in (2, 3, 5, 7, 11):
        assert feed([line[i:i + size] for i in range(0, len(line), size)]) == (want, 3, b""), size


def test_exec_output_tells_a_panic_from_a_program_that_says_so(t):
    begin, end = b"@helix ab12 begin\n", b"@helix ab12 end 0\n"
    assert feed([begin + b"a\nPANIC: fake\n" + end]) == (b"a\nPANIC: fake\n", 0, b"")
    shown, status, panic = feed([begin, b"a\n", b"PANIC: real\n", b"  trace\n"])
    assert (shown, status, panic) == (b"a\n", None, b"PANIC: real\n  trace\n")
    assert feed([begin, b"a PANIC: b\nPANI", b"C", b"\nx\n"]) == \
        (b"a PANIC: b\nPANIC\nx\n", None, b"")
    shown, status, panic = feed([b"boot\nPANIC: early\n"])
    assert (shown, status, panic) == (b"", None, b"PANIC: early\n")


def test_quoting_survives_the_kernels_rules(t):
    assert quote('say "a\\b"') == 'exec="say \\"a\\\\b\\""'


def test_ktest_lines_are_judged_strictly(t):
    good = "@ktest begin 2\n@ktest ok a.b\n@ktest skip a.c: no hardware\n@ktest end\n"

    def verdicts(text, code=0, timed_out=False):
        return [v for _n, v, _m in suites.ktest_results(text, code, timed_out)]

    assert verdicts(good) == ["ok", "skip"]
    assert verdicts(good.replace("2", "3")) == ["ok", "skip", "FAIL"]
    assert verdicts(good.replace("@ktest end\n", "")) == ["ok", "skip", "FAIL"]
    assert verdicts(good, code=None) == ["ok", "skip", "FAIL"]
    assert verdicts(good, timed_out=True) == ["ok", "skip", "FAIL"]
    assert verdicts("@ktest begin 0\n@ktest end\n") == ["FAIL"]
    assert verdicts("") == ["FAIL"]
    bad = "@ktest begin 1\n@ktest FAIL a.b: f.c:3: 1 != 2\n@ktest end\n"
    assert verdicts(bad, code=1) == ["FAIL"] and verdicts(bad, code=0) == ["FAIL", "FAIL"]


def test_bench_gate(t):
    def figure(name, value):
        return {"name": name, "p50": value}

    def worse(value):
        return [n for n, c in bench.compare([figure("a", value)], {"a": 1000}) if c]

    assert worse(1000) == [] and worse(1020) == [] and worse(900) == []
    assert worse(1021) == ["a"]
    assert [c for _n, c in bench.compare([figure("b", 1)], {})][0].startswith("1, no baseline")
    assert bench.compare([], {"gone": 1}) == [("gone", "in the baseline, but not measured")]
    line = ('{"name":"a","arch":"x86_64","unit":"instructions","min":1,"p50":2,"p99":3,"max":4,'
            '"n":5}')
    assert bench.parse(line + "\n", "x86_64")["a"]["p50"] == 2
    for bad in ("hello", line.replace('"p50":2', '"p50":0'), line.replace('"n":5', '"n":0'),
                line.replace('"min":1,', ""), line.replace("x86_64", "vax"), line + "\n" + line):
        try:
            bench.parse(bad, "x86_64")
        except HelixError:
            continue
        raise AssertionError(f"accepted {bad}")


def test_files_for_the_guest_make_a_cpio_archive(t):
    with open(f"{t.tmp}/a", "wb") as file:
        file.write(b"hello")
    archive = machine.newc_archive([(f"{t.tmp}/a", "/etc/sub/a")])
    with open(f"{t.tmp}/x.cpio", "wb") as file:
        file.write(archive)
    names, at = [], 0
    while at < len(archive):
        assert archive[at:at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = archive[at + 110:at + 110 + fields[11] - 1].decode()
        body = (at + 110 + fields[11] + 3) & ~3
        names.append((name, archive[body:body + fields[6]]))
        at = (body + fields[6] + 3) & ~3
    assert names == [("etc", b""), ("etc/sub", b""), ("etc/sub/a", b"hello"), ("TRAILER!!!", b"")]
    for guest in ("/", "../a", "a//b", "a/./b"):
        try:
            machine.newc_archive([(f"{t.tmp}/a", guest)])
        except HelixError:
            continue
        raise AssertionError(f"accepted {guest}")


def test_a_failing_test_fails_the_run(t):
    """The runner's own verdicts, through its front: counts, last line, exit status."""
    def passes(_t):
        pass

    def fails(_t):
        assert struct.calcsize("<I") == 5

    def skips(t):
        t.skip("no such hardware")

    def crashes(_t):
        return [("inner", "ok", ""), ("other", "FAIL", "why")]

    class Args:
        variant, profile = "release", "minimal"

    def count(*functions):
        report = suites.Report()
        printed = []
        suites_print, suites.print = getattr(suites, "print", print), \
            lambda *words, **_k: printed.append(" ".join(map(str, words)))
        try:
            for function in functions:
                suites.run_one(suites.Test("x", function.__name__, function), Args, None, report)
            status = report.end()
        finally:
            suites.print = suites_print
        return status, printed[-1].strip()

    assert count(passes) == (0, "1 passed, 0 failed")
    assert count(passes, skips) == (0, "1 passed, 0 failed, 1 skipped")
    assert count(passes, fails) == (1, "1 passed, 1 failed")
    assert count(crashes) == (1, "1 passed, 1 failed")
    assert count(skips) == (1, "0 passed, 0 failed, 1 skipped")
