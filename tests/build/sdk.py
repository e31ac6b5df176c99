# SPDX-License-Identifier: MIT
"""Programs: the SDK builds one outside the tree, and the build refuses one that is not fit."""
import os
import re
import shutil
import struct

from hosttools import elf, verify
from hosttools.errors import HelixError
from hosttools.machine import output
from hosttools.suites import arches
from site_tools import toolchain, user


def folder(t, arch, name):
    t.build(arch, ["user"])
    return f"build/{arch}/{t.variant}/{name}"


@arches
def test_the_readme_builds_the_example(t, arch):
    """The commands as they stand, in a copy of the folder, with nothing else on the include path."""
    sdk = f"{t.tmp}/sdk"
    shutil.copytree(folder(t, arch, "sdk"), sdk)
    with open(f"{sdk}/README.md", encoding="utf-8") as file:
        text = file.read()
    commands = re.findall(r"^ {4}(\S+-gcc .*)$", text, re.MULTILINE)
    assert len(commands) == 2 and "@" not in text, text
    for command in commands:
        done = t.run("sh", "-c", command, cwd=sdk)
        assert done.returncode == 0 and not done.stderr, done.stderr
    verify.verify_program(f"{sdk}/example", f"{sdk}/example", arch)


@arches
def test_the_sdk_speaks_of_user_mode_only(t, arch):
    sdk = folder(t, arch, "sdk")
    roots = sorted(os.listdir(f"{sdk}/include"))
    assert roots == ["abi", "helix", "hx"], roots
    for root in roots:
        for name in os.listdir(f"{sdk}/include/{root}"):
            done = t.run(f"{arch}-linux-gnu-gcc", "-std=gnu17", "-ffreestanding", "-Wall", "-Wextra",
                         "-Werror", f"-I{sdk}/include", "-fsyntax-only", "-include",
                         f"{root}/{name}", "-x", "c", "/dev/null")
            assert done.returncode == 0, done.stderr


@arches
def test_a_program_cannot_include_the_kernel(t, arch):
    """Compiled as the build compiles it: against the SDK's headers, the compiler's own apart."""
    sdk = folder(t, arch, "sdk")
    for header, works in (("hx/io.h", True), ("hal/cpu.h", False), ("helix/log.h", False),
                          ("core/log.h", False), ("fs/vfs.h", False)):
        done = t.run(f"{arch}-linux-gnu-gcc", *user.compile_flags(arch), f"-I{sdk}/include",
                     "-isystem", toolchain.gcc_include(f"{arch}-linux-gnu-gcc"), "-fsyntax-only",
                     "-include", header, "-x", "c", "/dev/null")
        assert (done.returncode == 0) == works, (header, done.stderr)


def archive_entries(path):
    """(name, mode, bytes) of a newc archive, by the letter of cpio(5)."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while True:
        assert data[at:at + 6] == b"070701", f"no entry at {at}"
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110:at + 110 + name_size - 1].decode()
        at = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return
        yield name, mode, data[at:at + size]
        at = (at + size + 3) & ~3


@arches
def test_the_boot_archive_holds_the_programs_and_modules(t, arch):
    wanted = {}
    for inside, built in (("bin", "user/bin"), ("modules", "modules")):
        where = folder(t, arch, built)
        wanted |= {f"{inside}/{name}": f"{where}/{name}" for name in os.listdir(where)
                   if inside == "bin" or name.endswith(".hxm")}
    entries = list(archive_entries(output(arch, t.variant, "boot.cpio")))
    files = {name: (mode, data) for name, mode, data in entries if name in wanted}
    assert sorted(name for name, _mode, _data in entries) == sorted([*wanted, "bin", "modules"])
    for name, (mode, data) in files.items():
        assert mode & 0o170000 == 0o100000, (name, oct(mode))
        assert not name.startswith("bin/") or mode & 0o111 == 0o111, (name, oct(mode))
        with open(wanted[name], "rb") as file:
            assert file.read() == data, name


def refused(path, arch):
    try:
        verify.verify_program(path, path, arch)
    except (HelixError, ValueError) as error:
        return str(error)
    return "nothing"


@arches
def test_verify_refuses_programs_that_are_not_fit(t, arch):
    program = folder(t, arch, "user/bin/hello")
    assert refused(program, arch) == "nothing"
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[arch]
    assert "no fixed executable" in refused(program, other)
    data = elf.Elf(program).data
    phoff, = struct.unpack_from("<Q", data, 32)
    crimes = {
        "no fixed executable": (16, "<H", 3),                   # ET_DYN
        "is not code": (24, "<Q", 0x10),
        "both writable and executable": (phoff + 4, "<I", 7),
        "not on pages of its own": (phoff + 16, "<Q", 0xFFFF800000000000),
        "not for a static program": (phoff, "<I", 3),           # PT_INTERP
    }
    for wanted, (at, form, value) in crimes.items():
        bad = bytearray(data)
        struct.pack_into(form, bad, at, value)
        with open(f"{t.tmp}/bad", "wb") as file:
            file.write(bad)
        assert wanted in refused(f"{t.tmp}/bad", arch), (wanted, refused(f"{t.tmp}/bad", arch))
