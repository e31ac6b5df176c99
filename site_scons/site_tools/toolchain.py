# SPDX-License-Identifier: MIT
"""SCons tool: the cross compilers, and the flags of each processor, variant and layer.

Kernel code is compiled with no header but GCC's own freestanding ones and the tree's. Release is
link-time optimised, which turns calls through constant operation tables into direct calls. What
differs by layer: boot/ runs before there is anything to catch a fault, so it is neither
instrumented nor allowed unaligned accesses; hal/ implements what the address sanitizer stands on,
so it gets the undefined-behaviour checks only.
"""
import os
import subprocess

PREFIX = {"x86_64": "x86_64-linux-gnu-", "aarch64": "aarch64-linux-gnu-"}

WARNINGS = """-Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wundef
    -Wpointer-arith -Wold-style-definition -Werror""".split()

FREESTANDING = """-std=gnu17 -ffreestanding -nostdinc -fno-pic -fno-pie -fno-common
    -fno-strict-aliasing -fno-delete-null-pointer-checks -ffunction-sections -fdata-sections
    -fno-omit-frame-pointer -momit-leaf-frame-pointer -fno-asynchronous-unwind-tables
    -g -gdwarf-4""".split()

MACHINE = {
    "x86_64": "-m64 -mcmodel=kernel -mno-red-zone -mgeneral-regs-only".split(),
    "aarch64": "-mgeneral-regs-only -mno-outline-atomics".split(),
}

# On x86_64 the canary is a plain variable, as it is on aarch64: one runtime serves both.
CANARY = {"x86_64": ["-mstack-protector-guard=global"], "aarch64": []}

VARIANT = {
    "release": ["-O2", "-fno-stack-protector", "-fno-align-loops", "-fno-align-jumps",
                "-falign-functions=4"],
    "debug": ["-O1", "-DHX_DEBUG=1", "-fstack-protector-strong"],
    "asan": """-O1 -DHX_DEBUG=1 -DHX_UBSAN=1 -DHX_KASAN=1 -fstack-protector-strong""".split(),
}

UBSAN = ["-fsanitize=undefined"]
# Outline checks: the runtime decides what is shadowed, so code may run before the shadow is mapped.
# Stack frames are left to the canary: their red zones are written inline, and the first functions
# run before there is a shadow to write to.
KASAN = """-fsanitize=kernel-address -fasan-shadow-offset=0xdffff00000000000
    --param=asan-globals=1 --param=asan-stack=0
    --param=asan-instrumentation-with-call-threshold=0""".split()

# -n: sections begin on pages in memory, by the linker script, and nowhere in particular in the file.
LINK = """-nostdlib -static -no-pie -Wl,-n -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack
    -Wl,--build-id=none -Wl,--gc-sections -Wl,--fatal-warnings""".split()


def gcc_include(compiler):
    """Folder of GCC's freestanding headers, found once per compiler."""
    return subprocess.run([compiler, "-print-file-name=include"], check=True, text=True,
                          capture_output=True).stdout.strip()


def machine_flags(arch, variant):
    """Flags that code generation, and so the LTO link, must agree on."""
    flags = MACHINE[arch] + VARIANT[variant]
    if variant != "release":
        flags = flags + CANARY[arch]
    return flags


def compile_flags(arch, variant, layer, lto=True, sanitize=True):
    """The C flags of a kernel layer, include paths excepted."""
    flags = FREESTANDING + WARNINGS + machine_flags(arch, variant)
    if variant == "release":
        flags = flags + (["-flto"] if lto else ["-fno-lto"])
    if variant == "asan" and sanitize and layer != "boot":
        flags = flags + UBSAN + (KASAN if layer != "hal" else [])
    if layer == "boot":
        flags = flags + ["-fno-stack-protector"]
        flags = flags + (["-mstrict-align"] if arch == "aarch64" else [])
    return flags


def link_flags(arch, variant):
    """Flags of the kernel's link; under LTO they compile it too.

    Every function keeps the level that it was compiled with; -Os is for what belongs to none, such
    as the alignment of strings.
    """
    lto = machine_flags(arch, variant) + ["-Os", "-flto=auto"] if variant == "release" else []
    return lto + LINK


def generate(env):
    env.Tool("cc")
    env.Tool("ar")
    if not env["verbose"]:
        env["CCCOMSTR"] = "  CC       $TARGET"
        env["ASPPCOMSTR"] = "  AS       $TARGET"
        env["LINKCOMSTR"] = "  LINK     $TARGET"
        env["ARCOMSTR"] = "  AR       $TARGET"
        env["RANLIBCOMSTR"] = ""
    arch = env["arch"]
    if arch == "host":
        env["CC"] = "gcc"
        return
    prefix = PREFIX[arch]
    env["CC"] = prefix + "gcc"
    env["OBJCOPY"] = prefix + "objcopy"
    # Neither the folder of the checkout nor a random seed may reach the output.
    env["REPRODUCIBLE"] = [f"-ffile-prefix-map={env['TOP']}=.", "-frandom-seed=$SOURCE"]
    env["GCC_INCLUDE"] = gcc_include(env["CC"])


def exists(_env):
    return os.path.exists("/usr/bin/gcc")
