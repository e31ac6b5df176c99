# SPDX-License-Identifier: MIT
"""SCons tool: programs for user mode, the archive that they boot in, and the SDK.

A program is compiled against the headers of the SDK, so it sees what a program outside the tree
sees, and an include of the kernel's does not compile. It is compiled for user mode: vector
registers, red zone and all. user/SConscript lists:

    user.library("lib/io.c #core/lib/format.c")     libhelix.a; {arch} is the processor's name
    user.program("hello", "programs/hello.c")       user/bin/hello, stripped and verified

Sources of the kernel's own that are as good in user mode (formatting, strings) are compiled again,
not written again. Artifacts, below build/ARCH/VARIANT:
    user/bin/NAME       programs           user/debug/NAME     the same with symbols
    output/boot.cpio    the boot archive: bin/NAME of each, the same bytes every time
    sdk/syscalls.txt    the manual of the system calls
    sdk/                headers, library, linker script, an example and how to build it
"""
import os
import shutil

from hosttools import calls, machine, parts, verify
from site_tools import toolchain
from site_tools.buildlog import command_action, step_action

# Division by zero is a trap on every processor: where the instruction has none, a check has one.
MACHINE = {
    "x86_64": "-m64 -mcmodel=small".split(),
    "aarch64": """-mcmodel=small -mno-outline-atomics -fsanitize=integer-divide-by-zero
        -fsanitize-undefined-trap-on-error""".split(),
}
SDK_FLAGS = "-std=gnu17 -O2 -ffreestanding -fno-pic -fno-stack-protector".split()
SDK_LINK = """-nostdlib -static -no-pie -Wl,-z,max-page-size=4096 -Wl,-z,separate-code
    -Wl,-z,noexecstack -Wl,-z,norelro -Wl,--build-id=none""".split()
# The tree's own programs compute with integers: a thread that never touches a floating-point or SIMD
# register has none to be saved at a switch, and compilers like to move bytes with them.
FLAGS = SDK_FLAGS + """-nostdinc -fno-pie -fno-common -mgeneral-regs-only
    -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
    -fno-tree-loop-distribute-patterns -ftls-model=local-exec -g -gdwarf-4""".split()
LINK = SDK_LINK + ["-Wl,--gc-sections", "-Wl,--fatal-warnings"]
# What of include/helix a program may use; the rest is between parts of the kernel.
SHARED = ("compiler.h", "format.h", "status.h", "string.h", "types.h")
SCRIPT = "user/lib/program.ld"
THIRD_PARTY = ("libsodium",)  # parts from outside that programs may include


def include_roots(arch):
    """Where the SDK's headers come from; of the first, what `sdk` picks."""
    return ["include", "user/include", f"user/lib/arch/{arch}/include"]


def compile_flags(arch):
    """The C flags of user mode, include paths excepted."""
    return FLAGS + toolchain.WARNINGS + MACHINE[arch]


class User:
    """What user/SConscript sees."""

    def __init__(self, env):
        self.arch = env["arch"]
        flags = compile_flags(self.arch) + env["REPRODUCIBLE"]
        self._env = env.Clone(CPPPATH=["$OUT/sdk/include"],
                              CCFLAGS=[*flags, "-isystem", env["GCC_INCLUDE"]])
        self._env.ForStep("user")
        self.start = self._objects(f"lib/arch/{self.arch}/start.S")
        self.archive = []
        self.programs, self.verified = [], []

    def _part_objects(self, part, names):
        """Compile sources of a part from outside, as its authors wrote them."""
        env = self._env
        flags = [*env["CCFLAGS"], *env.PartFlags(part), *self._part_include(part)] if part else []
        return [obj for name in names.split() for obj in env.Object(
            f"$OUT/obj/user/third_party/{part}/{os.path.splitext(name)[0]}.o",
            "#" + parts.part_path(part, name), CCFLAGS=flags)]

    def _part_include(self, part):
        return ["-isystem", "third_party/include", *self._env.PartInclude(part)]

    def _objects(self, names, part=None):
        """Compile sources, relative to user/, or to the top when they begin with #. They see the
        headers of `part`."""
        env, made = self._env, []
        more = self._part_include(part) if part else []
        for name in names.format(arch=self.arch).split():
            path = name[1:] if name.startswith("#") else f"user/{name}"
            stem, suffix = os.path.splitext(path)
            if suffix not in (".c", ".S"):
                raise ValueError(f"user/SConscript: {name}: a source is .c or .S")
            # The kernel's sources find the headers beside them; what those say is for them alone. A
            # program's assembly, kept by processor, finds those of its C files.
            own = ["#core/include"] if path.startswith("core/") else []
            own += ["#" + os.path.dirname(os.path.dirname(os.path.dirname(path)))] \
                if "/arch/" in path else []
            build = env.Object if suffix == ".c" else env.Gas
            made += build(f"$OUT/obj/user/{stem}.o", f"#{path}", CPPPATH=env["CPPPATH"] + own,
                          CCFLAGS=[*env["CCFLAGS"], *more])
        return made

    def library(self, names):
        env = self._env
        command = f"{toolchain.PREFIX[self.arch]}ar rcsD $TARGET $SOURCES"
        self.archive = env.Command("$OUT/user/lib/libhelix.a", self._objects(names),
                                   command_action(env, command, "  AR       $TARGET"))

    def program(self, name, sources, part=None, part_sources=""):
        """A program of the boot archive; with sources of a part from outside."""
        env = self._env
        if part not in (None, *THIRD_PARTY):
            raise ValueError(f"user/SConscript: {name}: no program may use {part}")
        flags = [*MACHINE[self.arch], *LINK, f"-Wl,-T,{SCRIPT}"]
        command = " ".join(["$CC", *flags, "-o", "$TARGET", "$SOURCES"])
        linked = env.Command(f"$OUT/user/debug/{name}",
                             [*self.start, *self._objects(sources, part),
                              *self._part_objects(part, part_sources), *self.archive],
                             command_action(env, command, "  LINK     $TARGET"))
        env.Depends(linked, f"#{SCRIPT}")
        stripped = env.Command(f"$OUT/user/bin/{name}", linked, command_action(
            env, "$OBJCOPY --strip-all $SOURCE $TARGET", "  STRIP    $TARGET"))
        self.programs += stripped
        self.verified += env.Command(f"$OUT/user/verified/{name}", [stripped, linked], step_action(
            "verify", run_verify, f"  VERIFY   {name}"))
        env.Depends(self.verified[-1:], "#site_scons/hosttools/verify.py")


def run_verify(target, source, env):
    verify.verify_program(source[0].abspath, source[1].abspath, env["arch"])
    with open(target[0].abspath, "w", encoding="ascii") as out:
        out.write(f"{os.path.getsize(source[0].abspath)} bytes\n")


def write_archive(target, source, env):
    """bin/NAME of every program, modules/NAME.hxm of every module, in the order of their names."""
    files = sorted((f"{folder}/{os.path.basename(node.path)}", node.abspath) for node in source
                   for folder, mark in (("bin", "/user/bin/"), ("modules", "/modules/"))
                   if mark in node.abspath)
    with open(target[0].abspath, "wb") as out:
        out.write(machine.newc_archive([(host, guest) for guest, host in files]))


def write_readme(target, source, env):
    """The SDK's README, with this processor's compiler and flags in the commands."""
    with open(source[0].abspath, encoding="utf-8") as file:
        text = file.read()
    values = {"arch": env["arch"], "compiler": env["CC"],
              "cflags": " ".join([*SDK_FLAGS, *MACHINE[env["arch"]]]), "ldflags": " ".join(SDK_LINK)}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    with open(target[0].abspath, "w", encoding="utf-8") as out:
        out.write(text)


def write_manual(target, source, env):
    """The system calls, a page each."""
    texts = []
    for node in source[:2]:
        with open(node.abspath, encoding="utf-8") as file:
            texts.append(file.read())
    with open(target[0].abspath, "w", encoding="utf-8") as out:
        out.write(calls.manual(*texts)[0])


def sdk(env, user):
    """Everything that a program outside the tree needs, in one folder that can be moved."""
    def headers(folder):
        return [(os.path.relpath(os.path.join(at, name), folder), os.path.join(at, name))
                for at, _dirs, names in os.walk(folder) for name in sorted(names)]

    files = [(f"include/helix/{name}", f"include/helix/{name}") for name in SHARED]
    files += [(f"include/abi/{name}", path) for name, path in headers("include/abi")]
    for root in include_roots(user.arch)[1:]:
        files += [(f"include/{name}", path) for name, path in headers(root)]
    files += [("lib/program.ld", SCRIPT), ("example.c", "user/sdk/example.c"),
              ("LICENSE", "LICENSE")]
    made = [env.InstallAs(f"$OUT/sdk/{to}", f"#{path}") for to, path in sorted(files)]
    made.append(env.InstallAs("$OUT/sdk/lib/start.o", user.start))
    made.append(env.InstallAs("$OUT/sdk/lib/libhelix.a", user.archive))
    manual = env.Command("$OUT/sdk/syscalls.txt", [f"#{calls.TABLE}", f"#{calls.WORDS}"],
                         step_action("user", write_manual, "  GEN      $TARGET"))
    env.Depends(manual, "#site_scons/hosttools/calls.py")
    made.append(manual)
    made.append(env.Command("$OUT/sdk/README.md", "#user/sdk/README.md", step_action(
        "user", write_readme, "  GEN      $TARGET")))
    return made


def user_layer(env, modules):
    """What user mode needs of this build: (archive, everything). `modules` go along."""
    user = User(env)
    env.SConscript("user/SConscript", exports={"user": user})
    archive = env.Command("$OUT/output/boot.cpio", user.programs + modules, step_action(
        "user", write_archive, "  CPIO     $TARGET"))
    env.Depends(archive, [*user.verified, "#site_scons/hosttools/machine.py"])
    return archive, [archive, user.programs, sdk(env, user)]


def generate(env):
    env.Tool("install")
    env["INSTALLSTR"] = "  COPY     $TARGET"
    env.AddMethod(user_layer, "User")


def exists(_env):
    return shutil.which("ar") is not None
