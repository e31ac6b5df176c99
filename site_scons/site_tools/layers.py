# SPDX-License-Identifier: MIT
"""SCons tool: the layers of the tree, and what each may include.

A layer sees its own include root and those below it, and cannot add one: a SConscript is handed a
Layer, never an environment. So an include that points upward does not compile. `boot` stands
beside `hal`: it sees the same, and nothing but boot code sees its headers.

    objects = layer.objects("a.c b.S c.asm #from/the/top.c")       every source by name
    objects += layer.objects("lib/string.c", lto=False, sanitize=False)
    objects += layer.third_party("libsodium", "src/a.c")            sources of a part
    layer.constants("offsets.c")                                   see assemblers.py
"""
import os

from hosttools import parts
from site_tools import thirdparty, toolchain

SUBSYSTEMS = ("memory", "execution", "device", "dis", "userspace")
# Lowest first. The second column is the folder of the SConscript, the third the include roots.
LAYERS = (
    ("hal", "hal/{arch}", ("hal/{arch}/include",)),
    ("boot", "boot/{arch}", ("boot/include",)),
    ("core", "core", ("core/include",)),
    ("subsystems", "subsystems", tuple(f"subsystems/{s}/include" for s in SUBSYSTEMS)),
    ("fs", "fs", ("fs/include",)),
    ("modules", "modules", ("modules/include",)),
    ("tests", "tests", ("tests/include",)),
)
# Parts from outside that a layer of one architecture may include (third_party/manifest.toml).
THIRD_PARTY = {("hal", "aarch64"): ("libfdt-arm64",), ("boot", "aarch64"): ("libfdt-arm64",),
               ("core", "x86_64"): ("libsodium",), ("core", "aarch64"): ("libsodium",)}

# What runs often is built for speed in the release, everything else for size. A path may name a
# folder or a file.
HOT = ("core/capability/bench.c", "core/capability/capability.c", "core/cpu/cpu.c",
       "core/handle/handle.c", "core/ipc/channel.c", "core/ipc/topic.c", "core/lib/string.c",
       "core/irq/irq.c", "core/sched/", "core/sync/", "core/task/task.c", "core/syscall/syscall.c", "core/time/time.c",
       "hal/aarch64/context.c", "hal/aarch64/mmu.c", "hal/x86_64/context.c", "hal/x86_64/mmu.c",
       "hal/x86_64/drivers/lapic.c", "hal/x86_64/drivers/timers.c", "hal/x86_64/traps.c",
       "hal/aarch64/drivers/gic", "hal/aarch64/trap.c", "subsystems/dis/bench.c",
       "subsystems/dis/donate.c", "subsystems/dis/edf.c", "subsystems/dis/executor.c",
       "subsystems/dis/kernel.c", "subsystems/dis/optimizer.c", "subsystems/dis/queue.c",
       "subsystems/dis/policy/fair.c",
       "subsystems/dis/policy/round_robin.c", "subsystems/memory/heap/heap.c",
       "subsystems/memory/heap/slab.c", "subsystems/memory/physical/frame.c",
       "subsystems/memory/virtual/object.c", "subsystems/memory/virtual/region.c",
       "subsystems/memory/virtual/space.c", "tests/")


def include_roots(name, arch):
    """Folders that a file of layer `name` may include from, lowest layer first."""
    roots = ["include"]
    for layer, _folder, own in LAYERS:
        if layer != "boot" or name == "boot":
            roots += [root.format(arch=arch) for root in own]
        if layer == name:
            return roots
    raise ValueError(f"no layer '{name}'")


class Layer:
    """What a SConscript sees: its sources in, objects out."""

    def __init__(self, env, name):
        arch, variant = env["arch"], env["variant"]
        self.name, self.arch, self.board = name, arch, env["board"]
        self.folder = {n: f for n, f, _ in LAYERS}[name].format(arch=arch)
        self.script = f"{self.folder}/SConscript"
        self._flags = lambda **keywords: toolchain.compile_flags(arch, variant, name, **keywords)
        gen = f"{env['OUT']}/gen/{name}"
        roots = ["#" + root for root in include_roots(name, arch)]
        allowed = THIRD_PARTY.get((name, arch), ())
        system = ["-isystem", "third_party/include"] if allowed else []
        for part in allowed:
            system += env.PartInclude(part)
        self._env = env.Clone(CPPPATH=roots + [gen], ASMPATH=roots[-1:] + [gen])
        self._env.ForStep(name)
        self._system = system + ["-isystem", env["GCC_INCLUDE"]]
        self._gen = gen

    def objects(self, names, lto=True, sanitize=True):
        """Compile `names`, relative to the layer's folder, or to the top when they begin with #."""
        env = self._env
        flags = (self._flags(lto=lto, sanitize=sanitize) + self._system + env["REPRODUCIBLE"])
        build = {".c": env.Object, ".S": env.Gas, ".asm": env.Nasm}
        result = []
        for name in names.split():
            path = name[1:] if name.startswith("#") else f"{self.folder}/{name}"
            stem, suffix = os.path.splitext(path)
            if suffix not in build:
                raise ValueError(f"{self.script}: {name}: a source is .c, .S or .asm")
            size = [] if self._env["variant"] != "release" or path.startswith(HOT) else ["-Os"]
            result += build[suffix](f"$OUT/obj/{stem}.o", f"#{path}", CCFLAGS=flags + size)
        return result

    def include_path(self):
        """What files of this layer include from."""
        return self._env["CPPPATH"]

    def third_party(self, part, names):
        """Compile sources of a part as members of this layer, as its authors wrote them."""
        size = ["-Os"] if self._env["variant"] == "release" else []
        flags = (self._flags(sanitize=False) + thirdparty.FLAGS[part] + self._system +
                 self._env["REPRODUCIBLE"] + size)
        return [obj for name in names.split() for obj in
                self._env.Object(f"$OUT/obj/third_party/{part}/{os.path.splitext(name)[0]}.o",
                                 "#" + parts.part_path(part, name), CCFLAGS=flags)]

    def generated(self, nodes):
        """Compile generated C files as members of this layer."""
        flags = self._flags() + self._system + self._env["REPRODUCIBLE"]
        return [obj for node in nodes for obj in
                self._env.Object(f"$OUT/obj/gen/{os.path.splitext(node.name)[0]}.o", node,
                                 CCFLAGS=flags)]

    def constants(self, name):
        """Generate <stem>.inc and <stem>.h from the ASM_CONSTs of a C file of this layer."""
        stem = os.path.splitext(os.path.basename(name))[0]
        flags = (self._flags(lto=False, sanitize=False) + self._system + self._env["REPRODUCIBLE"])
        text = self._env.ConstantsText(f"$OUT/obj/{self.folder}/{stem}.const",
                                       f"#{self.folder}/{name}", CCFLAGS=flags)
        self._env.Constants([f"{self._gen}/{stem}.inc", f"{self._gen}/{stem}.h"], text)


def layers(env):
    """The layers that this tree has, lowest first."""
    made = (Layer(env, name) for name, _folder, _roots in LAYERS if name != "tests")
    return [layer for layer in made if os.path.exists(layer.script)]


def generate(env):
    env.AddMethod(layers, "Layers")
    env.AddMethod(Layer, "Layer")


def exists(_env):
    return True
