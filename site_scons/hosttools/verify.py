# SPDX-License-Identifier: MIT
"""What a linked kernel must be, checked on the file: nothing here needs a boot.

verify_kernel  W^X segments, no undefined symbol, the loader's header, size in release.
verify_tables  the second link did not move what the first one's symbol table describes.
"""
import struct
import subprocess

from . import elf as elffile
from .errors import HelixError

RELEASE_MAX_BYTES = 400 * 1024


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
    if variant == "release" and len(elf.data) > RELEASE_MAX_BYTES:
        raise HelixError(f"verify: {path}: {len(elf.data)} bytes, more than {RELEASE_MAX_BYTES}")
    if arch == "x86_64":
        if subprocess.run(["grub-file", "--is-x86-multiboot2", path], check=False).returncode:
            raise HelixError(f"verify: {path}: GRUB finds no Multiboot2 header in it")


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
