# SPDX-License-Identifier: MIT
"""Machines that lack something, or lie: the kernel says what is wrong, or does without."""
import os
import re

from hosttools.machine import RAW_ARCHIVE, output
from hosttools.suites import arches, each

# For what must come: a host with better things to do takes its time. What must not come is waited
# for as long as REFUSED.
COMES, REFUSED = 60, 10


@each(long_mode={"cpu": "qemu64,-lm", "what": r"long mode|64-bit"},
      no_execute={"cpu": "qemu64,-nx", "what": r"no-execute|NX"})
def test_x86_64_missing_cpu_feature_is_named(t, cpu, what):
    guest = t.boot(arch="x86_64", cpu=cpu, cmdline="exit=qemu exec=version")
    guest.expect(what)
    guest.wait(2)
    assert guest.timed_out, "it went on, or reset"
    assert "ready" not in guest.text()


@each(**{"none": {"vga": "none"}, "std": {"vga": "std"}})
def test_x86_64_boots_with_and_without_a_screen(t, vga):
    for firmware in ("bios", "uefi"):
        result = t.exec("version", arch="x86_64", vga=vga, firmware=firmware, board="q35")
        assert result.status == 0, (firmware, result.reason, result.log)


@each({"board": "pc"}, {"board": "q35"})
def test_x86_64_without_acpi_boots(t, board):
    result = t.exec("version", arch="x86_64", board=board, machine_options="acpi=off")
    assert result.status == 0 and result.output.startswith("Helix"), result.log


@each({"cpu": "qemu64"}, {"cpu": "Nehalem"}, {"cpu": "Skylake-Server"}, {"cpu": "EPYC"})
def test_x86_64_boots_on_older_processors(t, cpu):
    result = t.exec("version", arch="x86_64", cpu=cpu)
    assert result.status == 0, (result.reason, result.log)


@arches
def test_unknown_and_broken_words_are_harmless(t, arch):
    words = 'nosuch=1 =x == "unclosed loglevel=silly exit= ' + "y" * 300
    guest = t.boot(arch=arch, cmdline=words)
    guest.expect("helix> ")
    text = guest.text()
    assert "PANIC" not in text
    assert re.search(r"nosuch", text), "an unknown word is reported"


@arches
def test_a_command_line_of_two_kilobytes_is_survived(t, arch):
    guest = t.boot(arch=arch, cmdline=" ".join(f"word{i}=value" for i in range(200)))
    guest.expect("helix> ")
    assert "PANIC" not in guest.text()


@arches
def test_many_processors_are_seen(t, arch):
    result = t.exec("cpu", arch=arch, smp=4)
    assert result.status == 0 and "4 CPUs" in result.output, result.output


def device_tree(t, *edits):
    """QEMU's own tree for virt, edited with fdtput, as a file."""
    path = f"{t.tmp}/virt.dtb"
    t.tool("qemu-system-aarch64", "-M", f"virt,gic-version=2,dumpdtb={path}", "-cpu", "cortex-a57",
           "-m", "256", "-display", "none", "-nodefaults", "-serial", "null")
    for option, *words in edits:
        t.tool("fdtput", option, path, *words)
    return path


def loader_tree(t, *edits):
    """The same, after a loader has written into it where the boot archive is: without that there
    are no programs, and so no shell but the kernel's own."""
    t.machine(arch="aarch64")       # so that the archive is built
    end = RAW_ARCHIVE + os.path.getsize(output("aarch64", t.variant, "boot.cpio"))
    return device_tree(t, ("-tx", "/chosen", "linux,initrd-start", f"{RAW_ARCHIVE:x}"),
                       ("-tx", "/chosen", "linux,initrd-end", f"{end:x}"), *edits)


def start_tree(t, path, words="exit=qemu exec=version nonce=1"):
    """Boot with these bytes for a device tree."""
    return t.boot(arch="aarch64", raw_dtb=path, cmdline=words)


def boot_tree(t, path, timeout=REFUSED):
    """The same, to its end; returns (completed, all that was said)."""
    guest = start_tree(t, path)
    guest.wait(timeout)
    said = guest.text() + guest.complaint()
    completed = guest.exit_code() == 0 and "@helix 1 end 0" in said
    return completed, said


def refusal(said):
    """The line in which the kernel says why it does not go on."""
    match = re.search(r"^(PANIC: |helix: cannot boot: )(.*)$", said, re.MULTILINE)
    return match and match[2]


def test_aarch64_boots_from_the_unedited_tree(t):
    """It names no boot archive: the kernel comes up, and its own shell answers."""
    guest = start_tree(t, device_tree(t), "exit=qemu")
    guest.expect("init: no such object", COMES)
    guest.expect("^kernel> ", COMES)
    guest.send("version\r")
    guest.expect("^Helix ", COMES)
    assert "PANIC" not in guest.text()


def test_aarch64_without_programs_ends_when_nobody_types(t):
    """What the host asked for cannot be run: the machine ends and says so, and does not wait."""
    guest = start_tree(t, device_tree(t))
    guest.expect("nothing is left to run what the host asked for", COMES)
    guest.wait(COMES)
    assert not guest.timed_out and guest.exit_code() != 0, guest.exit_code()


def test_aarch64_boots_from_a_loaders_tree(t):
    completed, said = boot_tree(t, loader_tree(t), COMES)
    assert completed, said


# Without the first three there is nothing to stand on; without the others it does with less:
# without a word about the boot archive with the kernel's own shell, without one about what to run
# with the programs' shell.
EDITS = {
    "memory": ("/memory@40000000", r"memory|RAM"),
    "interrupt_controller": ("/intc@8000000", r"interrupt controller|platform|irq"),
    "timer": ("/timer", r"timer"),
    "cpus": ("/cpus", None),
    "psci": ("/psci", None),
    "chosen": ("/chosen", None),
    "fw_cfg": ("/fw-cfg@9020000", None),
    "serial": ("/pl011@9000000", None),
}
PROMPTS = {"/chosen": "^kernel> ", "/fw-cfg@9020000": "helix> "}


@each(**{name: {"node": node, "why": why} for name, (node, why) in EDITS.items()})
def test_aarch64_device_tree_without_a_node(t, node, why):
    path = loader_tree(t, ("-r", node))
    if why:
        completed, said = boot_tree(t, path)
        assert not completed and refusal(said), said
        assert re.search(rf"(error: |PANIC: |boot: ).*({why})", said, re.IGNORECASE), said
    elif node.startswith("/pl011"):
        _completed, said = boot_tree(t, path)
        assert "PANIC" not in said, said        # nobody hears it, but it must not fall over
    elif node in PROMPTS:
        guest = start_tree(t, path, "exit=qemu")
        guest.expect(PROMPTS[node], COMES)
        assert "PANIC" not in guest.text()
    else:
        completed, said = boot_tree(t, path, COMES)
        assert completed, said


@each(**{f"{size}_bytes": {"size": size} for size in
         (0, 3, 4, 8, 39, 40, 64, 200, 1000, 3000, 6000)})
def test_aarch64_truncated_device_tree_is_refused(t, size):
    """What is cut off reads as zeros. The kernel says so; it neither hangs nor runs on."""
    path = device_tree(t)
    with open(path, "rb+") as file:
        total = int.from_bytes(file.read(8)[4:], "big")
        assert size < total
        file.truncate(size)
        file.truncate(max(size, 16))
    completed, said = boot_tree(t, path)
    assert not completed and refusal(said), said
    assert re.search(r"device tree|memory|RAM", refusal(said), re.IGNORECASE), refusal(said)


@each(magic={"offset": 0, "value": 0xD00DFEEE}, huge={"offset": 4, "value": 0xFFFFFFF0},
      tiny={"offset": 4, "value": 8}, structure={"offset": 8, "value": 0x7FFFFFFF},
      strings={"offset": 12, "value": 0xFFFFFFFF},
      odd_structure={"offset": 8, "value": 0x39}, size_of_structure={"offset": 36, "value": 0xFFFFFF})
def test_aarch64_lying_device_tree_header_is_refused(t, offset, value):
    path = device_tree(t)
    with open(path, "rb+") as file:
        file.seek(offset)
        file.write(value.to_bytes(4, "big"))
    completed, said = boot_tree(t, path)
    assert not completed and refusal(said), said
