# SPDX-License-Identifier: MIT
"""The shell over the serial line: statuses, output, line editing."""
import re

from hosttools.suites import arches

PROMPT = r"helix> "
BOARD = {"x86_64": "pc", "aarch64": "virt"}


@arches
def test_version_names_the_build(t, arch):
    result = t.exec("version", arch=arch)
    assert result.status == 0, result.log
    assert re.fullmatch(rf"Helix \d+\.\d+\.\d+ {arch} {BOARD[arch]}\S* build \S+ {t.variant} "
                        rf"profile {t.profile}\n", result.output), result.output


@arches
def test_uname(t, arch):
    assert t.exec("uname", arch=arch).output == "Helix\n"
    words = t.exec("uname -a", arch=arch).output.split()
    assert words[0] == "Helix" and words[-1] == arch, words


@arches
def test_unknown_command_says_so(t, arch):
    result = t.exec("frobnicate", arch=arch)
    assert result.status == 127, result.status
    assert "frobnicate" in result.output


@arches
def test_bad_arguments_have_their_own_status(t, arch):
    result = t.exec("uname -z", arch=arch)
    assert result.status == 2 and result.output.startswith("usage: uname"), result.output


@arches
def test_status_passes_through_lists(t, arch):
    assert t.exec("frobnicate; version", arch=arch).status == 0
    assert t.exec("version && frobnicate", arch=arch).status == 127
    result = t.exec("frobnicate || echo saved $?", arch=arch)
    assert result.status == 0 and result.output.endswith("saved 127\n"), result.output
    result = t.exec("frobnicate && echo not-this", arch=arch)
    assert "not-this" not in result.output and result.status == 127


@arches
def test_output_is_what_the_command_printed(t, arch):
    """To the byte, with the log at its most talkative."""
    text = r'echo "a  b" \"c\" "@helix x end 0" "PANIC: no" x'
    result = t.exec(text, arch=arch, cmdline="loglevel=debug")
    assert result.output == 'a  b "c" @helix x end 0 PANIC: no x\n', result.output
    assert result.status == 0 and "ramfs on /" in result.log


@arches
def test_exec_from_the_front_door(t, arch):
    t.build(arch, t.machine(arch=arch).targets())
    common = ["exec", "--arch", arch, "--variant", t.variant, "--profile", t.profile]
    done = t.helix(*common, "--", "echo hello; frobnicate")
    assert done.returncode == 127, done
    assert done.stdout.startswith("hello\n") and done.stderr == "", done
    done = t.helix(*common, "--", "panic")
    assert done.returncode == 125, done
    assert "PANIC: " in done.stderr and "PANIC" not in done.stdout, done
    assert done.stderr.endswith("helix: exec: the kernel panicked\n"), done.stderr


@arches
def test_run_stops_at_its_timeout(t, arch):
    t.build(arch, t.machine(arch=arch).targets())
    done = t.helix("run", "--arch", arch, "--variant", t.variant, "--timeout", "3")
    assert done.returncode == 124, done
    assert "helix> " in done.stdout, done.stdout


@arches
def test_exec_times_out_with_124(t, arch):
    result = t.exec("version", arch=arch, timeout=0.01)
    assert result.status == 124 and "0.01 s" in result.reason, result.status


def test_exec_from_the_front_door_times_out_with_124(t):
    """UEFI firmware alone takes longer than a second."""
    t.build("x86_64", t.machine(arch="x86_64").targets())
    done = t.helix("exec", "--firmware", "uefi", "--timeout", "1", "--variant", t.variant,
                   "--", "version")
    assert done.returncode == 124 and done.stdout == "", done
    assert done.stderr.splitlines()[-1].startswith("helix: exec: no end within 1 s"), done


@arches
def test_line_editing(t, arch):
    guest = t.boot(arch=arch)
    guest.expect(PROMPT)
    guest.send("echo helxo\x7f\x7fo\bix works\r")
    guest.expect(r"^helix works\r?$")
    guest.expect(PROMPT)
    guest.send("cho x\x01e\r")                      # Ctrl-A: to the start
    guest.expect(r"^x\r?$")
    guest.expect(PROMPT)
    guest.send("echo bd\x1b[Dc\x1b[D\x1b[Da\x05e\r")    # arrows; Ctrl-E: to the end
    guest.expect(r"^abcde\r?$")
    guest.expect(PROMPT)
    guest.send("junk\x15echo clean\r")              # Ctrl-U: drop the line
    guest.expect(r"^clean\r?$")
    guest.expect(PROMPT)
    guest.send("\x1b[A\x1b[A\r")                    # history: the line before the last
    guest.expect(r"^abcde\r?$")
    guest.expect(PROMPT)
    guest.send("never\x03")                         # Ctrl-C: a new prompt, nothing run
    guest.expect(PROMPT)
    guest.send("echo $?\r")
    guest.expect(r"^\d+\r?$")


@arches
def test_a_line_too_long_is_survived(t, arch):
    guest = t.boot(arch=arch)
    guest.expect(PROMPT)
    guest.send("echo " + "x" * 5000)
    guest.send("\x15echo alive\r")
    guest.expect(r"^alive\r?$")


@arches
def test_control_bytes_do_no_harm(t, arch):
    guest = t.boot(arch=arch)
    guest.expect(PROMPT)
    guest.send("".join(map(chr, [0, 2, 6, 7, 11, 12, 14, 16, 22, 27, 27, 91, 57, 57, 59, 28, 31])))
    guest.send("\x1b[99999999999999999999A\x1bO\x1b[\x15echo alive\r")
    guest.expect(r"^alive\r?$")


@arches
def test_every_command_has_a_page(t, arch):
    listed = t.exec("help", arch=arch).output
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    assert {"help", "version", "uname", "echo", "dmesg", "poweroff"} <= set(names), names
    pages = t.exec("; ".join(f"help {name}" for name in names), arch=arch)
    assert pages.status == 0
    for name in names:
        assert f"usage: {name}" in pages.output, name


@arches
def test_poweroff_ends_the_machine(t, arch):
    guest = t.boot(arch=arch)
    guest.expect(PROMPT)
    guest.send("poweroff\r")
    assert guest.wait(15) == 0 and not guest.timed_out


@arches
def test_reboot_resets_the_machine(t, arch):
    guest = t.boot(arch=arch)       # tests run QEMU so that a reset ends it
    guest.expect(PROMPT)
    guest.send("reboot\r")
    assert guest.wait(15) == 0 and not guest.timed_out


def test_x86_64_reboots_into_the_shell(t):
    guest = t.boot(arch="x86_64", interactive=True, serial="stdio")
    guest.expect(PROMPT)
    guest.send("reboot\r")
    guest.expect(PROMPT, 30)
