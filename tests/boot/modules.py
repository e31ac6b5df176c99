# SPDX-License-Identifier: MIT
"""Modules in a running system: loaded, swapped, killed, and refused, each time with the reason."""
import json
import os
import re
import struct

from hosttools.suites import arches, each

ARCHES = ("x86_64", "aarch64")
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}


def built(t, arch, name, folder="modules"):
    """A module file of the build."""
    t.build(arch, ["modules"])
    return f"build/{arch}/{t.variant}/{folder}/{name}.hxm"


def changed(t, path, change):
    """A copy of a file with its bytes passed through `change`; its path."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    copy = os.path.join(t.tmp, f"changed-{os.path.basename(path)}")
    with open(copy, "wb") as file:
        file.write(change(data))
    return copy


def free_frames(output):
    return [int(n) for n in re.findall(r"(\d+) KiB free", output)]


@arches
def test_load_use_and_unload_leave_nothing_behind(t, arch):
    result = t.exec("load fifo; unload fifo; mem; load fifo; lsmod; ledger fifo; swap sched.policy fifo;"
                    "unload fifo; swap sched.policy own; lsmod; mem", arch=arch)
    assert result.status == 0, (result.output, result.panic)
    before, after = free_frames(result.output)
    assert before == after, result.output
    assert "slot sched.policy has it" in result.output, result.output
    assert re.search(r"^fifo +1\.0\.0 +initialized", result.output, re.MULTILINE), result.output


@arches
def test_modinfo_prints_the_manifest(t, arch):
    result = t.exec("modinfo bitmap", arch=arch)
    for words in ("bitmap 1.0.0", "provides     frame.alloc 1.0", "capabilities frames", "signed",
                  "frame_table"):
        assert words in result.output, (words, result.output)


# Name, what is changed in a good file, and what the refusal says.
BAD_FILES = {
    "truncated": (lambda d: d[:len(d) // 2], "not signed by the key"),
    "short": (lambda d: d[:50], "not signed by the key"),
    "flipped": (lambda d: d[:200] + bytes([d[200] ^ 1]) + d[201:], "not signed by the key"),
    "signature": (lambda d: d[:-1] + bytes([d[-1] ^ 1]), "not signed by the key"),
    "unsigned": (lambda d: d[:-80] + bytes(4) + d[-76:], "not signed by the key"),
}


@each(**{f"{name}-{arch}": {"arch": arch, "kind": name} for name in BAD_FILES for arch in ARCHES})
def test_a_bad_file_is_refused(t, arch, kind):
    change, words = BAD_FILES[kind]
    path = changed(t, built(t, arch, "fifo"), change)
    result = t.exec("load bitmap; unload bitmap; load bad.hxm; mem --trim; load bad.hxm; echo $?; mem --trim; lsmod", arch=arch,
                    files=[(path, "bad.hxm")])
    assert words in result.output and "\n1\n" in result.output, (result.output, result.panic)
    before, after = free_frames(result.output)
    assert before == after, result.output


def import_changed(data):
    """The checksum of the first prototype is another."""
    at = struct.unpack_from("<I", data, len(data) - 76)[0]
    data[at + 4] ^= 1
    return data


def relocation_changed(data):
    """The first relocation is of a type that nobody knows."""
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    for index in range(count):
        kind, = struct.unpack_from("<I", data, table + 64 * index + 4)
        if kind == 4:
            offset, = struct.unpack_from("<Q", data, table + 64 * index + 24)
            struct.pack_into("<I", data, offset + 8, 99)
            return data
    raise AssertionError("no relocations")


# The same, but signed anew: the form is what is wrong.
BAD_FORMS = {
    "prototype": (import_changed, "frame_table: built against another prototype"),
    "relocation": (relocation_changed, "relocation type 99 is unknown"),
    "trailer": (lambda d: d[:-84] + b"\x07" + d[-83:], "file format 7; this kernel reads 1"),
    "oversized": (lambda d: d[:64] + bytes(5 << 20) + d[64:], "a module has at most"),
}


@each(**{f"{kind}-{arch}": {"arch": arch, "kind": kind} for kind in BAD_FORMS for arch in ARCHES})
def test_a_signature_does_not_excuse_a_bad_form(t, arch, kind):
    change, words = BAD_FORMS[kind]
    t.build("host")
    path = changed(t, built(t, arch, "bitmap"), change)
    t.tool(f"build/host/{t.variant}/bin/hxpack", "sign", "--key", "tools/keys/development.key", path)
    result = t.exec("load fifo; unload fifo; load bad.hxm; mem --trim; load bad.hxm; echo $?; mem --trim", arch=arch,
                    files=[(path, "bad.hxm")])
    if kind == "oversized":
        assert "no such object" in result.output or words in result.output, result.output
    else:
        assert words in result.output, (result.output, result.panic)
    assert "\n1\n" in result.output, result.output
    before, after = free_frames(result.output)
    assert before == after, result.output


@arches
def test_another_processors_module_is_refused(t, arch):
    path = built(t, OTHER[arch], "fifo")
    result = t.exec("load other.hxm; echo $?", arch=arch, files=[(path, "other.hxm")])
    assert "built for another processor" in result.output and "\n1\n" in result.output, \
        result.output


HOSTILE = {
    "init_fails": "init refused: the device reported an error",
    "init_hangs": "init was ended: no end in sight",
    "init_faults": "init was ended:",
    "init_asserts": "init was ended: never == 1",
    "needs": "requires test.missing 1.0, which no module provides",
    "cycle": "a cycle: hostile requires test.hostile",
    "no_right": "frame_table: the manifest lacks the capability",
    "hungry": "init refused: out of memory",
}


@each(**{f"{name}-{arch}": {"arch": arch, "kind": name} for name in HOSTILE for arch in ARCHES})
def test_a_hostile_module_is_refused_and_leaves_nothing(t, arch, kind):
    path = built(t, arch, kind, "tests/modules")
    result = t.exec("load bitmap; unload bitmap; load bad.hxm; mem; load bad.hxm; echo $?; mem; lsmod",
                    arch=arch, files=[(path, "bad.hxm")])
    assert HOSTILE[kind] in result.output and "\n1\n" in result.output, (result.output, result.panic)
    before, after = free_frames(result.output)
    assert before == after and "hostile" not in result.output.split("KiB free")[-1], result.output


@arches
def test_a_leak_is_reclaimed_and_reported(t, arch):
    path = built(t, arch, "leaks", "tests/modules")
    result = t.exec("load bad.hxm; ledger hostile; unload hostile; lsmod; dmesg -l warn", arch=arch,
                    files=[(path, "bad.hxm")])
    assert re.search(r"^memory +2$", result.output, re.MULTILINE), result.output
    assert "hostile left 2 things behind; they were reclaimed" in result.output, result.output


@arches
def test_a_stop_that_hangs_is_ended(t, arch):
    path = built(t, arch, "stop_hangs", "tests/modules")
    result = t.exec("load bad.hxm; unload hostile; echo $?; lsmod", arch=arch,
                    files=[(path, "bad.hxm")])
    assert result.status == 0 and "hostile" not in result.output.split("\n0\n")[-1], result.output


@arches
def test_a_downgrade_is_refused_unless_it_is_meant(t, arch):
    path = built(t, arch, "old", "tests/modules")
    result = t.exec("swap frame.alloc bitmap; swap frame.alloc old.hxm; echo $?; slots", arch=arch,
                    files=[(path, "old.hxm")])
    assert "phase 3 (check)" in result.output and "a downgrade" in result.output, result.output
    assert "serving bitmap" in result.output, result.output


@arches
def test_every_phase_of_a_swap_can_fail_and_nothing_changes(t, arch):
    phases = ("read signature check memory relocate bind map init copy verify gate move start "
              "commit").split()
    line = "load bitmap; unload bitmap; mem; " + " ; ".join(
        f"inject --phase {phase}; swap frame.alloc bitmap" for phase in phases) + " ; slots; mem"
    result = t.exec(line, arch=arch)
    refused = re.findall(r"phase \d+ \((\w+)\): the operation was cancelled", result.output)
    assert refused == phases, (result.output, result.panic)
    assert "serving buddy" in result.output, result.output
    before, after = free_frames(result.output)
    assert before == after, result.output


@arches
def test_a_killed_module_is_replaced_and_the_service_goes_on(t, arch):
    result = t.exec("swap frame.alloc bitmap; stress sched --count 2000 --threads 20;"
                    "swap frame.alloc buddy; inject buddy null; stress alloc --count 2000 "
                    "--threads 20; slots; dmesg -l warn", arch=arch)
    assert result.status == 0, (result.output, result.panic)
    assert re.search(r"frame\.alloc: buddy ended by exception", result.output), result.output
    assert "1 faults" in result.output, result.output


def disk(t):
    """An image whose first sectors can be told from all others."""
    path = os.path.join(t.tmp, "disk.img")
    with open(path, "wb") as file:
        file.write(bytes(range(256)) * 8192)
    return path


# Slot, and what takes turns in it.
TURNS = {
    "sched.policy": ("fifo", "round_robin", "fair", "fifo"),
    "frame.alloc": ("bitmap", "buddy", "bitmap"),
    "bus.delivery": ("coalesce", "drop_oldest", "coalesce"),
    "console": ("serial", "serial"),
    "fs.memory": ("ramfs", "ramfs"),
    "block.driver": ("virtio_blk", "virtio_blk2", "virtio_blk"),
}


@each(**{f"{slot}-{arch}": {"arch": arch, "slot": slot} for slot in TURNS for arch in ARCHES})
def test_modules_take_turns_and_go_back(t, arch, slot):
    turns = TURNS[slot]
    line = "; ".join(f"swap {slot} {name} --downgrade" for name in turns)
    result = t.exec(f"echo kept > /f; {line}; rollback {slot}; swap {slot} own; cat /f; slots --json",
                    arch=arch, disks=[disk(t)])
    assert result.status == 0, (result.output, result.panic)
    served = re.findall(rf"^{re.escape(slot)}: (\w+) serves", result.output, re.MULTILINE)
    assert len(served) == len(turns) + 2, result.output
    assert "\nkept\n" in "\n" + result.output, result.output
    state = next(json.loads(text) for text in result.output.splitlines() if f'"{slot}"' in text)
    assert state["module"] == "own" and state["faults"] == 0 and state["rollbacks"] == 1, state


@each(**{f"{fault}-{arch}": {"arch": arch, "fault": fault}
         for fault in ("null", "assert", "stack", "hang") for arch in ARCHES})
def test_a_killed_file_system_keeps_its_files(t, arch, fault):
    result = t.exec("mkdir /d; echo one > /d/a; swap fs.memory ramfs; echo two > /d/b; ln -s b /d/c;"
                    f"inject ramfs {fault}; echo three > /d/e; cat /d/a /d/b /d/c /d/e; ls /d; slots",
                    arch=arch)
    assert result.status == 0, (result.output, result.panic)
    assert "one\ntwo\ntwo\nthree\na\nb\nc\ne\n" in result.output, result.output
    assert re.search(r"^fs\.memory .* 1 faults", result.output, re.MULTILINE), result.output


@each(**{f"{run}-{arch}-{smp}": {"arch": arch, "run": run, "smp": smp}
         for run in ("swap", "heal") for arch in ARCHES for smp in (1, 4)})
def test_nothing_is_lost_in_a_storm(t, arch, run, smp):
    # Every change of the kernel's map and every exchange of an allocator asks all CPUs, which takes
    # slices of the host's where they are threads that share fewer cores.
    count = 500 if smp == 1 else 60 if run == "swap" else 20
    result = t.exec(f"stress {run} --count {count} --seed 7", arch=arch, smp=smp, timeout=240,
                    disks=[disk(t)])
    assert result.status == 0, (result.output, result.panic)
    assert re.search(rf"attempted {count}, failed \d+, lost 0, leaked 0 frames", result.output), \
        result.output
