# SPDX-License-Identifier: MIT
"""Module files on this machine: the loader's relocations against the linker's, and hxpack."""
import glob
import os
import re

from hosttools.suites import arches

PREFIX = {"x86_64": "x86_64-linux-gnu-", "aarch64": "aarch64-linux-gnu-"}
CODE, CONSTANT, DATA = 0xffffffffa0001000, 0xffffffffa0401000, 0xffffffffa0801000
KERNEL = 0xffffffffa4000000     # within a branch's reach of the code: no veneers

SCRIPT = f"""
SECTIONS
{{
    .text {CODE:#x} : {{ *(.text) }}
    .constant {CONSTANT:#x} : {{ *(.hx_manifest) *(.hx_module) *(.rodata .rodata.*) }}
    .data {DATA:#x} : {{ *(.data) *(.bss) }}
    /DISCARD/ : {{ *(.comment) *(.note*) *(.eh_frame*) }}
}}
"""

MANIFEST = """
    .section .hx_manifest,"a"
    .balign 4
    .4byte 0x314d5848
    .2byte 1, 364
    .asciz "corpus"
    .zero 364 - 8 - 7
    .section .hx_module,"a"
    .balign 8
    .zero 96
"""

# Every relocation that the loader knows, in the forms that assemblers write them.
CORPUS = {
    "x86_64": """
    .text
f:  call near
    call outside
    jmp near + 3
    lea constant(%rip), %rax
    lea outside(%rip), %rax
    mov $constant, %rdi
    movq $word, 8(%rax)
    mov $0, %ecx
    movabs $word, %rbx
    mov word(%rip), %eax
    movl $7, word+4(%rip)
    mov outside@GOTPCREL(%rip), %rax
near: ret
    .section .rodata,"a"
constant: .8byte near, outside, word + 16
    .8byte outside - .
    .4byte near - ., constant - .
    .data
word: .8byte constant + 5, f
    .4byte f - .
""",
    "aarch64": """
    .text
f:  bl near
    bl outside
    b outside
    adrp x0, constant
    add x0, x0, :lo12:constant
    adrp x1, word
    ldr x2, [x1, :lo12:word]
    ldr w2, [x1, :lo12:word4]
    ldrh w2, [x1, :lo12:word2]
    ldrb w2, [x1, :lo12:byte]
    ldr q0, [x1, :lo12:word16]
    adr x3, near
    ldr x4, near_word
    cbz x0, near
    tbnz x0, #3, near
    movz x5, #:abs_g3:outside
    movk x5, #:abs_g2_nc:outside
    movk x5, #:abs_g1_nc:outside
    movk x5, #:abs_g0_nc:outside
near: ret
    .balign 8
near_word: .8byte outside
    .section .rodata,"a"
constant: .8byte near, outside, word + 16
    .8byte outside - .
    .4byte near - ., constant - .
    .data
    .balign 16
word16: .8byte 1, 2
word: .8byte constant + 5
word4: .4byte f - .
word2: .2byte 7
byte: .byte 1
""",
}


def objects(t, arch):
    """Every module's object of the build, and one of our own."""
    t.build(arch, ["modules"])
    found = sorted(glob.glob(f"build/{arch}/{t.variant}/obj/hxm/*.o"))
    assert len(found) >= 5, found
    source, made = f"{t.tmp}/corpus.s", f"{t.tmp}/corpus.o"
    with open(source, "w", encoding="ascii") as out:
        out.write(MANIFEST + CORPUS[arch])
    t.tool(PREFIX[arch] + "as", "-march=armv8-a" if arch == "aarch64" else "--64", source, "-o", made)
    return [*found, made]


def undefined(t, arch, path):
    """Names that an object leaves to others, each at an address of its own."""
    lines = t.tool(PREFIX[arch] + "nm", "-u", path).split()
    names = [word for word in lines if word != "U"]
    return [f"{name}={KERNEL + 0x40 * i:#x}" for i, name in enumerate(names)]


@arches
def test_relocations_equal_the_linkers(t, arch):
    """Byte by byte, but for what a GOT is: the loader's words lie elsewhere than the linker's."""
    t.build("host")
    hxpack = f"build/host/{t.variant}/bin/hxpack"
    script = f"{t.tmp}/link.ld"
    with open(script, "w", encoding="ascii") as out:
        out.write(SCRIPT)
    for number, path in enumerate(objects(t, arch)):
        names = undefined(t, arch, path)
        ours, theirs = f"{t.tmp}/ours{number}", f"{t.tmp}/theirs{number}"
        t.tool(hxpack, "link", path, ours, hex(CODE), hex(CONSTANT), hex(DATA), *names)
        # Strings that the linker would put into one another are at their places for the loader.
        plain = f"{t.tmp}/plain{number}.o"
        t.tool(PREFIX[arch] + "objcopy", "--set-section-flags",
               ".rodata=alloc,load,readonly,data,contents", path, plain)
        t.tool(PREFIX[arch] + "ld", "-T", script, "-o", theirs, plain, "--no-relax", "-e", "0",
               "--no-warn-rwx-segments", *(f"--defsym={name}" for name in names))
        for part, section in (("code", ".text"), ("constant", ".constant"), ("data", ".data")):
            raw = f"{theirs}.{part}"
            t.tool(PREFIX[arch] + "objcopy", "-O", "binary", f"--only-section={section}",
                   "--set-section-flags", ".data=alloc,load,contents", theirs, raw)
            with open(f"{ours}.{part}", "rb") as file:
                mine = file.read()
            wanted = b""
            if os.path.exists(raw):
                with open(raw, "rb") as file:
                    wanted = file.read()
            differ = [at for at in range(min(len(mine), len(wanted))) if mine[at] != wanted[at]]
            allowed = 4 if "corpus" in path and arch == "x86_64" and part == "code" else 0
            assert len(wanted) <= len(mine) and len(differ) <= allowed, \
                (path, part, len(mine), len(wanted), differ[:8])


@arches
def test_hxpack_tells_what_is_in_a_file(t, arch):
    t.build("host")
    t.build(arch, ["modules"])
    hxpack, path = f"build/host/{t.variant}/bin/hxpack", f"build/{arch}/{t.variant}/modules/fair.hxm"
    text = t.tool(hxpack, "info", path)
    assert "fair 1.0.0" in text and f"machine      {arch}" in text, text
    assert re.search(r"provides +sched\.policy 1\.0", text), text
    t.tool(hxpack, "verify", "--key", "tools/keys/development.pub", path)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[300] ^= 1
    bad = f"{t.tmp}/bad.hxm"
    with open(bad, "wb") as file:
        file.write(data)
    assert t.run(hxpack, "verify", "--key", "tools/keys/development.pub", bad).returncode == 1


def test_a_new_key_signs_and_the_old_one_does_not_match(t):
    t.build("host")
    hxpack = f"build/host/{t.variant}/bin/hxpack"
    key, public = f"{t.tmp}/my.key", f"{t.tmp}/my.pub"
    t.tool(hxpack, "keygen", key, public)
    assert os.stat(key).st_mode & 0o77 == 0, "a private key is for its owner"
    t.build("x86_64", ["modules"])
    path = f"build/x86_64/{t.variant}/modules/fifo.hxm"
    assert t.run(hxpack, "verify", "--key", public, path).returncode == 1
