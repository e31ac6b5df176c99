# SPDX-License-Identifier: MIT
"""Panics: asked for, and by each fault that the kernel must notice."""
import re

from hosttools.suites import arches, each

FAULTS = {
    "null": r"page fault|data abort|null",
    "undefined": r"invalid opcode|undefined",
    "stack": r"double fault|stack overflow|stack",
    "assert": r"assert",
    "text": r"write",
    "execute": r"execut|fetch",
}


def check_report(result):
    assert result.status == 125, (result.status, result.log)
    assert result.panic.startswith("PANIC: "), result.log
    assert re.search(r"^Helix \S+ \S+ on \S+, build ", result.panic, re.MULTILINE), result.panic
    assert "Registers:" in result.panic and "Backtrace:" in result.panic
    assert result.panic.rstrip().endswith("The system has stopped."), result.panic[-200:]


@arches
def test_panic_names_its_caller(t, arch):
    result = t.exec("panic", arch=arch)
    check_report(result)
    trace = result.panic.split("Backtrace:")[1].split("Last log")[0]
    names = re.findall(r"#\d+ +0x[0-9a-f]{16} (\w+)\+0x", trace)
    assert names[1:2] == ["command_panic"] or names[:1] == ["command_panic"], trace
    assert names.index("command_panic") < names.index("job_main"), trace
    assert len(names) == trace.count("#"), f"an address without a name: {trace}"


@each(**{f"{fault}-{arch}": {"arch": arch, "fault": fault}
         for fault in FAULTS for arch in ("x86_64", "aarch64")})
def test_fault_is_reported(t, arch, fault):
    result = t.exec(f"panic --by {fault}", arch=arch)
    check_report(result)
    assert re.search(FAULTS[fault], result.panic.splitlines()[0], re.IGNORECASE), result.panic


@arches
def test_the_report_holds_the_last_log_lines(t, arch):
    result = t.exec("panic", arch=arch)
    last = result.panic.split("Last log lines:")[1]
    assert "shell: ready" in last, last


@arches
def test_a_panic_without_the_exit_device_halts(t, arch):
    """Nothing runs on after a panic: the machine stays, silent."""
    guest = t.boot(arch=arch)
    guest.expect("helix> ")
    guest.send("panic\r")
    guest.expect(r"The system has stopped\.")
    guest.send("echo alive\r")
    guest.wait(2)
    assert guest.timed_out, "the machine went away"
    assert "alive" not in guest.text().split("The system has stopped.")[1]


@arches
def test_panic_reboot_resets(t, arch):
    guest = t.boot(arch=arch, cmdline="panic=reboot")
    guest.expect("helix> ")
    guest.send("panic\r")
    assert guest.wait(15) == 0 and not guest.timed_out
