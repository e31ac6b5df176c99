# SPDX-License-Identifier: MIT
"""SCons tool: modules, linked into the kernel or as files of their own, and what packs them.

modules/SConscript lists the runtime and the modules; each module's own SConscript is handed `module`:

    module.build("round_robin", "round_robin.c #core/sched/round_robin.c")    a file
    module.build("fair", "fair.c", built_in=True)                             a file, and linked in

Sources are relative to modules/NAME, or to the top when they begin with #. What is linked in is
compiled like the kernel; a file is compiled again with HX_MODULE, brings its own memory functions,
is joined by modules/module.ld, checked by the kernel's own code and signed by hxpack:
    build/ARCH/VARIANT/modules/NAME.hxm
"""
import os

from hosttools import parts
from site_tools import toolchain
from site_tools.buildlog import command_action

FLAGS = """-DHX_MODULE -fno-lto -fno-stack-protector -fno-tree-loop-distribute-patterns""".split()
STRING = "core/lib/string.c"
HXPACK = """tools/hxpack/main.c tools/hxpack/dwarf.c tools/hxpack/machine.c
    modules/runtime/object.c core/lib/format.c""".split()
PORTS = ("x86_64", "aarch64")
RENAMED = ("reloc_kind", "reloc_apply", "veneer_write")
HOST_FLAGS = ["-std=gnu17", "-O2", "-g"]


def port_defines(arch):
    """hal/ARCH/reloc.c beside the other port's: its functions carry the processor's name."""
    return [f"hal_{name}={arch}_{name}" for name in RENAMED]


def host_objects(env, folder, flags, names=HXPACK):
    """Objects of `names` for this machine, and of both ports' relocations."""
    roots = ["#include", "#modules/include", "#core/include"]
    host = env.Clone(CC="gcc", CPPPATH=roots, CCFLAGS=flags + toolchain.WARNINGS, LIBS=[],
                     CPPDEFINES=[])
    made = [host.Object(f"{folder}/{os.path.splitext(path)[0]}.o", f"#{path}") for path in names]
    made += [host.Object(f"{folder}/hal/{arch}/reloc.o", f"#hal/{arch}/reloc.c",
                         CPPDEFINES=port_defines(arch)) for arch in PORTS]
    return made


class Modules:
    """What modules/SConscript sees."""

    def __init__(self, env):
        self.arch, variant = env["arch"], env["variant"]
        self._layer = env.Layer("modules")
        self._env = env.Clone(CPPPATH=self._layer.include_path())
        self._env.ForStep("modules")
        # The sanitizers' runtime is not among what a module may call.
        flags = [flag for flag in toolchain.compile_flags(self.arch, variant, "modules", lto=False,
                                                          sanitize=False)
                 if flag not in ("-DHX_KASAN=1", "-DHX_UBSAN=1")]
        self._flags = flags + FLAGS + env["REPRODUCIBLE"] + ["-isystem", env["GCC_INCLUDE"]]
        self.files, self.tests, self.objects = [], [], []
        self._string = self._object("string", STRING)
        self._hxpack = self._env.Command(
            "$OUT/host/hxpack", host_objects(self._env, "$OUT/host/obj", HOST_FLAGS),
            command_action(self._env, "gcc -o $TARGET $SOURCES -lsodium", "  LINK     $TARGET"))
        self._crc = None

    def _object(self, module, path, flags=(), include=()):
        stem = os.path.splitext(path)[0]
        return self._env.Object(f"$OUT/obj/hxm/{module}/{stem}.o", f"#{path}",
                                CCFLAGS=[*self._flags, *include, *flags])

    def _part_objects(self, module, used, include):
        """Sources of parts from outside as members of a module, as their authors wrote them."""
        return [self._env.Object(f"$OUT/obj/hxm/{module}/{part}/{os.path.splitext(name)[0]}.o",
                                 "#" + parts.part_path(part, name),
                                 CCFLAGS=[*self._flags, *include, *self._env.PartFlags(part)])
                for part, names in used.items() for name in names.split()]

    def runtime(self, names, types):
        """The loader and the registry; `types` names the prototypes of what modules may call."""
        env = self._env
        prototypes = self._layer.objects(types, lto=False, sanitize=False)
        self._crc = env.Command("$OUT/gen/modules/export_crc.h", [prototypes, self._hxpack],
                                command_action(env, "${SOURCES[1].abspath} crc ${SOURCES[0]} "
                                               "$TARGET", "  GEN      $TARGET"))
        key = env.Command("$OUT/gen/modules/key.c", ["#" + env["sign_key"], self._hxpack],
                          command_action(env, "${SOURCES[1].abspath} keysource ${SOURCES[0]} "
                                         "$TARGET", "  GEN      $TARGET"))
        self.objects += self._layer.objects(names) + self._layer.generated(key)

    def build(self, name, sources, built_in=False, use=None, defines=(), folder=None):
        """A module file of that name; `sources` as above, of `folder` when it is another's. use: by
        part from outside (its headers are seen), the sources of it that go in."""
        paths = [s[1:] if s.startswith("#") else f"modules/{folder or name}/{s}"
                 for s in sources.split()]
        if built_in:
            self.objects += self._layer.objects(" ".join("#" + path for path in paths))
        self.files += self._pack(f"$OUT/modules/{name}.hxm", name, paths, defines, use=use or {})

    def test(self, name, source, define):
        """A module that is no part of the system: build/ARCH/VARIANT/tests/modules/NAME.hxm."""
        self.tests += self._pack(f"$OUT/tests/modules/{name}.hxm", f"test_{name}", [source[1:]],
                                 [define])

    def _pack(self, target, name, paths, flags=(), use=None):
        """From sources to a signed file. What nothing refers to is left out of it."""
        env = self._env
        include = [word for part in use or () for word in env.PartInclude(part)]
        include = ["-isystem", "third_party/include", *include] if use else []
        objects = [self._object(name, path, flags, include) for path in paths] + [self._string]
        objects += self._part_objects(name, use or {}, include)
        prefix = toolchain.PREFIX[self.arch]
        joined = env.Command(f"$OUT/obj/hxm/{name}.o", objects, command_action(
            env, f"{prefix}ld -r --gc-sections -u memcpy -T modules/module.ld -o $TARGET $SOURCES && "
            f"{prefix}objcopy --strip-unneeded $TARGET", "  JOIN     $TARGET"))
        env.Depends(joined, "#modules/module.ld")
        return env.Command(
            target, [joined, self._crc, "#" + env["sign_key"], self._hxpack],
            command_action(env, "${SOURCES[3].abspath} pack --crc ${SOURCES[1]} "
                           "--key ${SOURCES[2]} ${SOURCES[0]} $TARGET", "  PACK     $TARGET"))

    def folder(self, *names):
        """Reads modules/NAME/SConscript of each, or FOLDER/SConscript of one with a slash."""
        for name in names:
            self._env.SConscript(f"#{name}/SConscript" if "/" in name else
                                 f"#modules/{name}/SConscript", exports={"module": self})


def generate(env):
    env.AddMethod(Modules, "Modules")


def exists(_env):
    return True
