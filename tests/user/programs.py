# SPDX-License-Identifier: MIT
"""Programs in user mode, each started by the shell's `run`; what they judge, they judge themselves.
"""
import json
import re

from hosttools.suites import arches, each

ARCHES = ("x86_64", "aarch64")


def passes(t, arch, program, timeout=120, **keywords):
    """Run a program that counts its own checks; it must have made some, and failed none."""
    name = program.split()[0]
    result = t.exec(f"run {program}", timeout=timeout, arch=arch, **keywords)
    last = re.search(rf"^{name}: (\d+) checks, (\d+) failures$", result.output, re.MULTILINE)
    assert result.status == 0 and last, (result.status, result.output, result.panic or result.log)
    assert int(last[1]) > 0 and last[2] == "0", result.output
    return result


def fuzz(t, arch, calls, seed, timeout=300):
    """Calls made from the table by several threads; what they and the neighbours found is said."""
    result = t.exec(f"run sysfuzz {calls} {seed}", timeout=timeout, arch=arch, smp=4)
    assert result.status == 0, (result.status, result.output[-2000:], result.panic or result.log)
    last = result.output.splitlines()[-1]
    made = re.search(rf"sysfuzz: (\d+) calls in \d+ batches from seed {seed}, .*nothing found$", last)
    assert made and int(made[1]) >= calls, last
    return result


@arches
def test_hello_gets_its_arguments(t, arch):
    result = t.exec('run hello one "two words" "" $?', arch=arch)
    assert result.status == 0, result.log
    assert result.output.splitlines() == ["hello from hello", "argument 1: one",
                                          "argument 2: two words", "argument 3: ",
                                          "argument 4: 0"], result.output


@arches
def test_exit_status_reaches_the_shell(t, arch):
    assert t.exec("run true", arch=arch).status == 0
    assert t.exec("run false", arch=arch).status == 1
    result = t.exec("run spawner exit 42; echo $?; run true && echo then; run false || echo else",
                    arch=arch)
    assert result.output == "42\nthen\nelse\n", result.output
    missing = t.exec("run nosuch; echo alive", arch=arch)
    assert "nosuch" in missing.output and missing.output.endswith("alive\n"), missing.output


# The cause, as words that the report of either processor must hold.
CRIMES = {
    "null-read": r"read", "null-write": r"writ", "jump-null": r"execut|fetch|jump",
    "kernel-read": r"read", "kernel-write": r"writ", "jump-kernel": r"execut|fetch|jump",
    "wild-read": r"", "jump-wild": r"", "text-write": r"writ", "stack": r"stack",
    "divide": r"divi|trap|breakpoint", "execute-stack": r"execut|fetch",
    "execute-data": r"execut|fetch", "privileged": r"privileg|protection|undefined|invalid",
    "kernel-tables": r"privileg|protection|undefined|invalid",
    "undefined": r"undefined|invalid", "breakpoint": r"breakpoint|trap",
    "unaligned-stack": r"align|protection", "kernel-stack": r"",
    "double-free": r"undefined|invalid|trap|breakpoint",
}


@each(**{f"{crime}-{arch}": {"arch": arch, "crime": crime} for crime in CRIMES for arch in ARCHES})
def test_a_criminal_dies_alone(t, arch, crime):
    """One line that names the program, the address and the cause; the system goes on."""
    if crime == "unaligned-stack" and arch == "aarch64":
        t.skip("QEMU does not check the alignment of SP")
    guest = t.boot(arch=arch)
    guest.expect("helix> ")
    guest.send(f"run crash {crime}\r")
    guest.expect("helix> ")
    report = guest.text().split(f"run crash {crime}")[1]
    assert "still alive" not in report and "PANIC" not in report, report
    lines = [line for line in report.splitlines() if "crash" in line and "0x" in line]
    assert len(lines) == 1, report
    assert re.search(CRIMES[crime], lines[0], re.IGNORECASE), lines[0]
    guest.send("echo status $?\r")
    assert int(guest.expect(r"^status (\d+)")[1]) != 0
    guest.send("run hello again\r")
    guest.expect(r"^argument 1: again\r?$")


@arches
def test_every_crime_is_tried(t, arch):
    assert t.exec("run crash list", arch=arch).output.split() == list(CRIMES)


@arches
def test_bad_pointers_get_a_status(t, arch):
    passes(t, arch, "badptr")


@each(**{f"{arch}-{smp}": {"arch": arch, "smp": smp} for arch in ARCHES for smp in (1, 4)})
def test_threads_keep_what_is_theirs(t, arch, smp):
    passes(t, arch, "threads", smp=smp)


@each(**{f"{arch}-{smp}": {"arch": arch, "smp": smp} for arch in ARCHES for smp in (1, 4)})
def test_memory(t, arch, smp):
    passes(t, arch, "memtest", smp=smp)


@each(**{f"{arch}-{smp}": {"arch": arch, "smp": smp} for arch in ARCHES for smp in (1, 4)})
def test_processes(t, arch, smp):
    passes(t, arch, "spawner", smp=smp)


@each(**{f"{arch}-{smp}": {"arch": arch, "smp": smp} for arch in ARCHES for smp in (1, 4)})
def test_files(t, arch, smp):
    passes(t, arch, "files", smp=smp)


@arches
def test_handles_and_their_limits(t, arch):
    passes(t, arch, "caps", smp=2)


@arches
def test_calls_are_shown_by_name(t, arch):
    result = t.exec("calls on 'tru*'; run true; calls off; run true; dmesg", arch=arch)
    shown = [line for line in result.output.splitlines() if "call: true/" in line]
    assert len([line for line in shown if "process_exit(status 0)" in line]) == 1, result.output


@arches
def test_a_revoked_handle_is_of_no_use_to_any_cpu(t, arch):
    passes(t, arch, "revoke 1000", smp=8)


@arches
def test_fuzzed_calls(t, arch):
    fuzz(t, arch, 200_000, seed=1)


@each(**{f"{arch}-{smp}": {"arch": arch, "smp": smp} for arch in ARCHES for smp in (1, 4)})
def test_messages(t, arch, smp):
    """Calls, queues, topics, names and faults handed over; each failure has its own status."""
    # A CPU that waits for a lock whose holder the host has put to sleep waits for a slice of the
    # host's: four of them on fewer cores need milliseconds for a message.
    passes(t, arch, "ipctest" if smp == 1 else "ipctest 800", smp=smp)


@arches
def test_out_of_memory_is_a_status(t, arch):
    passes(t, arch, "oom", mib=128)


@arches
def test_nothing_is_leaked(t, arch):
    """A round of everything that comes and goes leaves as much memory as the one before.

    A page of the heap may be left half full by one round and not by another; what leaks is less
    with every round.
    """
    line = "run spawner tree 3 3; run threads 50; run crash stack; echo mark; mem --trim"
    result = t.exec("; ".join([line] * 4), arch=arch, timeout=240)
    parts = result.output.split("mark\n")[1:]
    free = [int(re.search(r"(\d+) KiB free", part)[1]) for part in parts]
    assert len(free) == 4, result.output
    assert any(after >= before for before, after in zip(free, free[1:])), parts


@arches
def test_benchmarks_print_figures(t, arch):
    """Under the instruction clock: without it a slice may end between two that take turns."""
    result = t.exec("run bench-user --json", arch=arch, timeout=120, icount=True)
    assert result.status == 0, result.output
    figures = [json.loads(line) for line in result.output.splitlines()]
    assert {f["name"] for f in figures} == {
        "syscall.null", "syscall.clock", "process.switch", "thread.create_join",
        "ipc.call_64", "ipc.call_256", "ipc.channel_256", "ipc.publish_1", "ipc.publish_8",
        "fault.user_handler",
        "process.spawn_wait", "mem.page_fault", "mem.map_unmap_4k", "mem.protect_4k",
        "fs.ramfs_create", "fs.ramfs_stat", "fs.ramfs_unlink", "fs.ramfs_read_4k",
        "fs.ramfs_write_4k"}
    for figure in figures:
        assert figure["arch"] == arch and figure["unit"] == "instructions", figure
        assert 0 < figure["min"] <= figure["p50"] <= figure["p99"] <= figure["max"], figure
        assert figure["n"] >= 100, figure
    one = t.exec("run bench-user --json syscall.n*", arch=arch)
    assert [json.loads(line)["name"] for line in one.output.splitlines()] == ["syscall.null"]
