# SPDX-License-Identifier: MIT
"""SCons tool: the tests' one list (tests/SConscript), seen from a kernel build or a host build.

    tests.kernel("kernel/runner.c core/list_ktest.c")    in-kernel units; kernel builds only
    tests.library("#core/lib/format.c port/cpu.c")       portable sources over the do-nothing port
    tests.library("#core/lib/string.c", rename="memcpy") the same, memcpy as helix_memcpy
    tests.unit("core/list_test.c")                       a cmocka program, ASan and UBSan
    tests.fuzz("fuzz/multiboot2_fuzz.c")                 a libFuzzer program, clang

Host programs see every include root, user/ too, the port of tests/port in the place of hal/<arch>,
and this machine's C library. Each is linked with the library above, from which it takes what it calls.
Paths are relative to tests/, or to the top when they begin with #.
"""
import os

from site_tools import toolchain
from site_tools.layers import LAYERS

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FLAGS = ["-std=gnu17", "-g", "-O1", "-fno-omit-frame-pointer", "-fno-strict-aliasing",
         "-fno-common", "-DHX_DEBUG=1"]


def top_path(name):
    return name[1:] if name.startswith("#") else f"tests/{name}"


class KernelTests:
    """The list as a kernel build reads it: objects of the in-kernel units."""

    def __init__(self, env):
        self.arch = env["arch"]
        self._layer = env.Layer("tests")
        self.objects = []

    def kernel(self, names):
        self.objects += self._layer.objects(names)

    def library(self, names, rename="", defines=()):
        pass

    unit = fuzz = library


class HostTests:
    """The list as a host build reads it: programs."""

    def __init__(self, env):
        roots = ["include", "tests/port/include", "user/include", "user"]
        roots += [r for name, _, own in LAYERS if name != "hal" for r in own]
        self._gcc = env.Clone(CPPPATH=["#" + r for r in roots],
                              CCFLAGS=FLAGS + toolchain.WARNINGS + SANITIZE, LINKFLAGS=SANITIZE,
                              LIBS=["cmocka", "fdt"])
        fuzzing = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
        # GCC's attribute and option names that clang does not know are not this build's business.
        self._clang = self._gcc.Clone(CC="clang", LINK="clang", LIBS=["fdt"], LINKFLAGS=fuzzing,
                                      CCFLAGS=FLAGS + ["-Wall", "-Wextra", "-Werror",
                                                       "-Wno-unknown-attributes",
                                                       "-fsanitize=fuzzer-no-link",
                                                       *fuzzing[1:], SANITIZE[0]])
        self.arch = env["arch"]
        self.gcc = self._gcc
        self._library = []
        self.units, self.fuzzers = [], []

    def _objects(self, env, kind, names, rename="", also=()):
        paths = [top_path(name) for name in names.split()]
        defines = [f"{name}=helix_{name}" for name in rename.split()] + list(also)
        return [env.Object(f"$OUT/obj/{kind}/{os.path.splitext(p)[0]}.o", f"#{p}",
                           CPPDEFINES=defines) for p in paths]

    def kernel(self, names):
        pass

    def library(self, names, rename="", defines=()):
        stem = os.path.splitext(top_path(names.split()[0]))[0].replace("/", "-")
        self._library += [(env, env.StaticLibrary(f"$OUT/lib/{kind}/lib{stem}.a",
                                                  self._objects(env, kind, names, rename,
                                                                defines)))
                          for kind, env in (("gcc", self._gcc), ("clang", self._clang))]

    def _program(self, env, kind, names):
        stem = os.path.splitext(top_path(names.split()[0]))[0]
        library = [lib for owner, lib in self._library if owner is env]
        return env.Program(f"$OUT/{stem}", self._objects(env, kind, names) + library)

    def unit(self, names):
        self.units += self._program(self._gcc, "gcc", names)

    def fuzz(self, names):
        self.fuzzers += self._program(self._clang, "clang", names)


class HostBuild:
    """Tools and tests of this machine."""

    def __init__(self, env):
        self.env = env
        self.tests = HostTests(env)
        self.programs = []

    def program(self, name, names, includes="", sanitize=False, libs=("m",)):
        """A program in $OUT/bin from `names`, relative to the top; beside every include root it
        sees the folders `includes`. Asserts are on; `sanitize` adds ASan and UBSan, or what it
        lists."""
        kind = f"{name}-san" if sanitize else name
        sanitize = SANITIZE if sanitize is True else list(sanitize or ())
        flags = [*FLAGS, *toolchain.WARNINGS, *(sanitize or ["-O2"])]
        env = self.tests.gcc.Clone(CCFLAGS=flags, LIBS=list(libs), LINKFLAGS=sanitize)
        env.Append(CPPPATH=["#" + folder for folder in includes.split()])
        objects = [env.Object(f"$OUT/obj/{kind}/{os.path.splitext(path)[0]}.o", f"#{path}")
                   for path in names.split()]
        self.programs += env.Program(f"$OUT/bin/{name}", objects)

    def everything(self):
        database = self.env.CompilationDatabase("$OUT/compile_commands.json")
        return [self.programs, self.tests.units, self.tests.fuzzers, database]


def generate(env):
    if env["arch"] == "host":
        env.Tool("link")
        env["LINK"] = "gcc"
        if not env["verbose"]:
            env["LINKCOMSTR"] = "  LINK     $TARGET"
        env.ForStep("tests")
    env.AddMethod(HostBuild, "HostBuild")
    env.AddMethod(KernelTests, "KernelTests")


def exists(_env):
    return True
