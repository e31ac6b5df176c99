# SPDX-License-Identifier: MIT
"""The test runner behind `./helix test`.

Suites:
    host     cmocka programs over the do-nothing port, with ASan and UBSan
    fs       HelixFS on the host: units, fuzzers, power cuts, FUSE    tests/fs/*.py
    kernel   units inside the kernel, on both architectures
    boot     whole boots, read and driven over the serial line      tests/boot/*.py
    boards   every machine that Helix claims to boot on             tests/boot/boards.py
    build    the build and `check` themselves                       tests/build/*.py
    dis      the scheduler in its simulator                         tests/dis/*.py
    ipc      the lock-free queue: every interleaving, threads       tests/ipc/*.py
    fuzz     each fuzz target for a fixed time
    user     programs in user mode, on both architectures           tests/user/*.py
    bench    the figures against tests/bench/baseline.json
    nightly  what is too long for CI; runs only when named          tests/nightly/*.py
A Python test is a function test_*(t); what it may do is class Context. @each(...) runs it once per
set of keywords. A test passes by returning, fails by raising, and is skipped by t.skip(reason). A
test may instead return a list of (name, verdict, message), one entry per test that it ran inside
a guest or a program.
"""
import concurrent.futures
import fnmatch
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import traceback

from . import bench
from .build import Builds
from .errors import HelixError
from .guest import Guest, Qmp, run_command
from .machine import Machine

SUITES = ("host", "fs", "kernel", "boot", "user", "boards", "build", "dis", "ipc", "fuzz", "bench",
          "nightly")
PYTHON_SUITES = ("fs", "boot", "user", "build", "dis", "ipc", "nightly")
HOST_SUITES = ("host", "fs", "build", "dis", "ipc", "fuzz")  # nothing of them boots one architecture
JOBS = 2
KERNEL_TIMEOUT, EXEC_TIMEOUT, FUZZ_SECONDS = 120, 60, 20
OK, FAIL, SKIP = "ok", "FAIL", "skip"


class Skip(Exception):
    """Raised by Context.skip()."""


def each(*sets, **named):
    """Run the test once per set of keywords; named sets name the cases."""
    def mark(function):
        function.cases = dict(named) if named else {
            "-".join(str(v) for v in keywords.values()): keywords for keywords in sets}
        return function
    return mark


arches = each({"arch": "x86_64"}, {"arch": "aarch64"})


class Test:
    """A function with its arguments and its full name, SUITE.name[case]."""

    def __init__(self, suite, name, function, /, **keywords):
        self.suite, self.name = suite, f"{suite}.{name}"
        self.function, self.keywords = function, keywords
        self.arch = keywords.get("arch")


class Context:
    """What a test works with. Whatever it starts is gone when the test ends."""

    def __init__(self, args, builds):
        self.variant, self.profile = args.variant, args.profile
        self._builds = builds
        self._guests = []
        self.tmp = tempfile.mkdtemp(prefix="helix-test-")

    def close(self):
        for guest in self._guests:
            guest.close()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def tail(self):
        """Last output of the guests, for the report of a failure."""
        return "\n".join(f"--- last output of the guest\n{guest.tail()}" for guest in self._guests)

    def skip(self, reason):
        raise Skip(reason)

    def build(self, arch, targets=(), variant=None):
        self._builds.need(arch, variant or self.variant, list(targets))

    def machine(self, **keywords):
        """A machine, what it boots built."""
        keywords.setdefault("variant", self.variant)
        what = Machine(**keywords)
        self._builds.need(what.arch, what.variant, what.targets())
        return what

    def boot(self, **keywords):
        """A running guest."""
        guest = Guest(self.machine(**keywords))
        self._guests.append(guest)
        return guest

    def exec(self, command, timeout=EXEC_TIMEOUT, **keywords):
        """Boot, run a command line, return its ExecResult."""
        return run_command(self.machine(**keywords), command, timeout)

    def qmp(self, path):
        return Qmp(path)

    def run(self, *words, timeout=300, cwd=None, env=None):
        """Run a program; returns the CompletedProcess, text captured."""
        return subprocess.run(words, timeout=timeout, text=True, check=False, capture_output=True,
                              stdin=subprocess.DEVNULL, cwd=cwd, env=env)

    def helix(self, *words, **keywords):
        """Run ./helix of the folder `cwd`, or of this tree."""
        return self.run("./helix", *words, **keywords)

    def tool(self, *words, cwd=None):
        """Run a program that must succeed; returns its output."""
        done = self.run(*words, cwd=cwd)
        assert done.returncode == 0, f"{words[0]} failed: {done.stdout}{done.stderr}"
        return done.stdout


def load(path):
    """Import a file of tests by path."""
    name = "tests_" + re.sub(r"\W", "_", path)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python_tests():
    """The tests of every tests/{fs,boot,user,build,dis,nightly}/*.py."""
    found = []
    paths = [path for suite in PYTHON_SUITES for path in glob.glob(f"tests/{suite}/*.py")]
    for path in sorted(paths):
        module = load(path)
        suite = getattr(module, "SUITE", path.split("/")[1])
        stem = os.path.splitext(os.path.basename(path))[0]
        for name, function in vars(module).items():
            if not name.startswith("test_") or not callable(function):
                continue
            short = name[5:] if suite == stem else f"{stem}.{name[5:]}"
            for case, keywords in getattr(function, "cases", {"": {}}).items():
                found.append(Test(suite, f"{short}[{case}]" if case else short, function,
                                  **keywords))
    return found


def c_tests(kind):
    """Stems of the C tests that tests/SConscript lists, read from the list itself."""
    with open("tests/SConscript", encoding="utf-8") as file:
        text = file.read()
    return [os.path.splitext(name)[0] for name in
            re.findall(r"^tests\.%s\(\s*\"+\s*(\S+?\.c)" % kind, text, re.MULTILINE)]


def run_unit(t, stem):
    """One cmocka program; every case it reports is a result."""
    t.build("host")
    environment = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP",
                   "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run([f"build/host/{t.variant}/tests/{stem}"], text=True, check=False,
                          capture_output=True, env=environment, timeout=120,
                          stdin=subprocess.DEVNULL)
    results = []
    for match in re.finditer(r"^(not )?ok \d+ (?:- |# SKIP )(\S+)", done.stdout, re.MULTILINE):
        verdict = SKIP if "# SKIP" in match[0] else FAIL if match[1] else OK
        results.append((match[2], verdict, done.stdout[-2000:] if verdict == FAIL else ""))
    planned = re.search(r"^1\.\.(\d+)", done.stdout, re.MULTILINE)
    complete = planned and int(planned[1]) == len(results) > 0
    if not complete or (done.returncode != 0 and all(r[1] != FAIL for r in results)):
        results.append(("program", FAIL, f"exit status {done.returncode}\n"
                        f"{done.stdout[-2000:]}{done.stderr[-6000:]}"))
    return results


def run_kernel(t, arch, variant=None, **keywords):
    """The test kernel, booted once; every @ktest line is a result."""
    guest = t.boot(arch=arch, variant=variant or t.variant, kernel="helix-kernel-test",
                   cmdline="exit=qemu ktest", **keywords)
    guest.wait(KERNEL_TIMEOUT)
    return ktest_results(guest.text(), guest.exit_code(), guest.timed_out)


def ktest_results(text, code, timed_out):
    """Results of the @ktest protocol in `text`; whatever is not complete and right is a failure."""
    begin = re.search(r"^@ktest begin (\d+)$", text, re.MULTILINE)
    results = []
    for match in re.finditer(r"^@ktest (ok|FAIL|skip) ([\w.]+)(?:: (.*))?$", text, re.MULTILINE):
        results.append((match[2], match[1], match[3] or ""))
    wrong = None
    if timed_out:
        wrong = f"no end within {KERNEL_TIMEOUT} s"
    elif not begin or int(begin[1]) != len(results) or not results:
        wrong = f"{len(results)} results of {begin[1] if begin else 'an unknown number'}"
    elif not re.search(r"^@ktest end$", text, re.MULTILINE):
        wrong = "no end"
    elif code != (1 if any(r[1] == FAIL for r in results) else 0):
        wrong = f"exit code {code}"
    if wrong:
        last = "\n".join(text.splitlines()[-40:])
        results.append(("run", FAIL, f"{wrong}\n--- last output of the guest\n{last}"))
    return results


def run_fuzz(t, stem, seconds=FUZZ_SECONDS):
    """One libFuzzer program for a fixed time, from the seeds beside it."""
    t.build("host")
    name = os.path.basename(stem)
    corpus, seeds = f"{t.tmp}/corpus", f"tests/{stem}_seeds"
    os.makedirs(corpus)
    finds = f"build/host/{t.variant}/fuzz-finds"
    os.makedirs(finds, exist_ok=True)
    done = subprocess.run(
        [f"build/host/{t.variant}/tests/{stem}", corpus, *([seeds] if os.path.isdir(seeds) else []),
         f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024", "-max_len=65536",
         "-print_final_stats=1", f"-artifact_prefix={finds}/{name}-"],
        text=True, errors="replace", check=False, capture_output=True, timeout=seconds + 60,
        stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{name} exits with {done.returncode}; the input is in {finds}\n" \
                                 f"{done.stderr[-6000:]}"
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    assert runs and int(runs[1]) > 1000, f"{name} ran {runs and runs[1]} inputs only"


def run_bench(t, arch):
    """Every figure of an architecture against the baseline; each is a result."""
    what = bench.machine(arch)
    t.build(arch, what.targets(), what.variant)
    figures = bench.run(what, [], 900)
    verdicts = bench.compare(figures, bench.read_baseline().get(arch, {}))
    return [(name, FAIL if complaint else OK, complaint or "") for name, complaint in verdicts]


def all_tests():
    tests = python_tests()
    tests += [Test("host", stem, run_unit, stem=stem) for stem in c_tests("unit")]
    tests += [Test("fuzz", os.path.basename(stem), run_fuzz, stem=stem)
              for stem in c_tests("fuzz")]
    for arch in ("x86_64", "aarch64"):
        tests.append(Test("kernel", arch, run_kernel, arch=arch))
        tests.append(Test("kernel", f"{arch}-asan", run_kernel, arch=arch, variant="asan"))
        tests.append(Test("bench", arch, run_bench, arch=arch))
    return tests


def select(tests, wanted, arch):
    """Tests of the suites named as SUITE or SUITE:GLOB; by default all but nightly."""
    if not wanted:
        chosen = [test for test in tests if test.suite != "nightly"]
    else:
        chosen = []
        for word in wanted:
            suite, _, pattern = word.partition(":")
            if suite not in SUITES:
                raise HelixError(f"test: no suite '{suite}'; suites: {', '.join(SUITES)}")
            picked = [test for test in tests if test.suite == suite and fnmatch.fnmatch(
                test.name, f"{suite}.{pattern}*" if pattern else "*")]
            if not picked:
                raise HelixError(f"test: nothing in {word}; `./helix test --list` names all tests")
            chosen += [test for test in picked if test not in chosen]
    if arch == "host":
        return [test for test in chosen if test.suite in HOST_SUITES]
    return [test for test in chosen if not arch or test.arch in (None, arch)
            and test.suite not in HOST_SUITES]


class Report:
    """Prints results as they come and counts them."""

    def __init__(self):
        self.counts = {OK: 0, FAIL: 0, SKIP: 0}
        self._failures = []
        self._lock = threading.Lock()

    def add(self, name, verdict, message, seconds=None):
        with self._lock:
            self.counts[verdict] += 1
            took = f"  {seconds:.1f} s" if seconds is not None else ""
            why = f"  ({message.strip()})" if verdict == SKIP and message.strip() else ""
            print(f"{verdict:<5} {name}{took}{why}", flush=True)
            if verdict == FAIL:
                self._failures.append((name, message))

    def end(self):
        for name, message in self._failures:
            print(f"\n=== {name}\n{message.rstrip()}")
        skipped = f", {self.counts[SKIP]} skipped" if self.counts[SKIP] else ""
        print(f"\n{self.counts[OK]} passed, {self.counts[FAIL]} failed{skipped}")
        return 1 if self.counts[FAIL] or not self.counts[OK] else 0


def run_one(test, args, builds, report):
    t, began = Context(args, builds), time.monotonic()
    try:
        results = test.function(t, **test.keywords)
        took = time.monotonic() - began
        if results is None:
            report.add(test.name, OK, "", took)
        else:
            for name, verdict, message in results:
                report.add(f"{test.name}.{name}", verdict, message)
    except Skip as skip:
        report.add(test.name, SKIP, str(skip))
    except HelixError as error:
        report.add(test.name, FAIL, f"{error}\n{error.detail}\n{t.tail()}",
                   time.monotonic() - began)
    except Exception as error:      # whatever a test raises is that test's failure
        where = "".join(traceback.format_tb(error.__traceback__)[-2:])
        report.add(test.name, FAIL, f"{type(error).__name__}: {error}\n{where}{t.tail()}",
                   time.monotonic() - began)
    finally:
        t.close()


def main(args):
    tests = select(all_tests(), args.suites, args.arch)
    if args.list:
        for test in tests:
            print(test.name)
        return 0
    if not tests:
        raise HelixError("test: the options leave no test to run")
    builds, report = Builds(args.profile, args.verbose), Report()
    for suite in SUITES:
        mine = [test for test in tests if test.suite == suite]
        if mine:
            with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
                for future in [pool.submit(run_one, test, args, builds, report) for test in mine]:
                    future.result()
    return report.end()
