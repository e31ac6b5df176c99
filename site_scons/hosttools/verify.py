# SPDX-License-Identifier: MIT
"""What a linked kernel must be, checked on the file: nothing here needs a boot.

verify_kernel  W^X segments, no undefined symbol, the loader's header, size in release.
verify_program a program for user mode: fixed, static, page-aligned W^X segments in user space.
verify_tables  the second link did not move what the first one's symbol table describes.
"""
import struct
import os
import subprocess

from . import elf as elffile
from .errors import HelixError

RELEASE_MAX_BYTES = 512 * 1024
PAGE, USER_START, USER_END = 4096, 0x400000, 0x800000000000


def verify_tables(first, final):
    """The symbol table of `final` was made from `first`: both must agree on every text address."""
    before, after = (dict(elffile.text_symbols(elffile.Elf(path))) for path in (first, final))
    if before != after:
        moved = next(a for a in sorted(before.keys() | after.keys())
                     if before.get(a) != after.get(a))
        raise HelixError(f"verify: {final}: text moved between the two links, first at {moved:#x}: "
                         f"{before.get(moved)} became {after.get(moved)}")


def verify_kernel(path, linked, arch, variant):
    """`path` is the stripped kernel, `linked` the same with its symbols."""
    elf = elffile.Elf(path)
    for number, segment in enumerate(elf.segments):
        if segment.type == elffile.PT_LOAD and segment.flags & elffile.PF_W \
                and segment.flags & elffile.PF_X:
            raise HelixError(f"verify: {path}: segment {number} at {segment.vaddr:#x} is both "
                             "writable and executable")
    undefined = [s.name for s in elffile.Elf(linked).symbols() if s.name and not s.section]
    if undefined:
        raise HelixError(f"verify: {linked}: undefined symbols: {', '.join(undefined)}")
    ships = os.path.basename(path) != "helix-kernel-test"  # that one may be of any size
    if ships and variant == "release" and len(elf.data) > RELEASE_MAX_BYTES:
        raise HelixError(f"verify: {path}: {len(elf.data)} bytes, more than {RELEASE_MAX_BYTES}")
    if arch == "x86_64":
        if subprocess.run(["grub-file", "--is-x86-multiboot2", path], check=False).returncode:
            raise HelixError(f"verify: {path}: GRUB finds no Multiboot2 header in it")


def verify_program(path, linked, arch):
    """`path` is a stripped program, `linked` the same with its symbols."""
    elf = elffile.Elf(path)
    wanted = {"x86_64": elffile.EM_X86_64, "aarch64": elffile.EM_AARCH64}[arch]
    if (elf.type, elf.machine) != (elffile.ET_EXEC, wanted):
        raise HelixError(f"verify: {path}: no fixed executable for {arch}")
    undefined = [s.name for s in elffile.Elf(linked).symbols() if s.name and not s.section]
    if undefined:
        raise HelixError(f"verify: {linked}: undefined symbols: {', '.join(undefined)}")
    end, entry_is_code = 0, False
    for number, s in enumerate(elf.segments):
        where = f"verify: {path}: segment {number} at {s.vaddr:#x}"
        if s.type not in (elffile.PT_LOAD, elffile.PT_TLS, elffile.PT_GNU_STACK):
            raise HelixError(f"{where}: type {s.type:#x} is not for a static program")
        if s.flags & elffile.PF_W and s.flags & elffile.PF_X:
            raise HelixError(f"{where} is both writable and executable")
        if s.type != elffile.PT_LOAD:
            continue
        if s.vaddr % PAGE or s.offset % PAGE or s.vaddr < max(end, USER_START) \
                or s.vaddr + s.memsz > USER_END or not s.memsz:
            raise HelixError(f"{where}: not on pages of its own in user space")
        end = s.vaddr + s.memsz
        entry_is_code |= bool(s.flags & elffile.PF_X) and s.vaddr <= elf.entry < end
    if not entry_is_code:
        raise HelixError(f"verify: {path}: the entry {elf.entry:#x} is not code")


def verify_image(path):
    """An aarch64 Image: header of Linux Documentation/arm64/booting.rst, section 4."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 64:
        raise HelixError(f"verify: {path}: shorter than an Image header")
    code0, _code1, offset, size, flags, _r2, _r3, _r4, magic, _r5 = \
        struct.unpack_from("<IIQQQQQQ4sI", data)
    if magic != b"ARM\x64":
        raise HelixError(f"verify: {path}: no Image magic")
    if code0 == 0 or offset % 4096 or size < len(data) or flags & 1:
        raise HelixError(f"verify: {path}: Image header: code0 {code0:#x}, text_offset "
                         f"{offset:#x}, image_size {size:#x} of {len(data):#x}, flags {flags:#x}")
