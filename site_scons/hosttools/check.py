# SPDX-License-Identifier: MIT
"""`./helix check`: what can be known of the sources without booting them.

Rules on the text, each a small function that yields (line, complaint); the formatter and two
analysers; and layering, which is not read off the text but proved: for each pair of layers a file
that includes upward is compiled with the real flags, and must fail, while the same include from
above must work. `files` are the changed ones, or all.
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import tempfile

from site_tools import layers, thirdparty, toolchain, user

from . import parts
from .errors import HelixError

SPDX = "SPDX-License-Identifier: MIT"
NO_TAG = ("LICENSE",)                   # and files that cannot hold a comment, fuzz seeds too
NO_COMMENT = (".json", ".psf", ".gz", ".bin", ".dtb", ".png", ".seed")
ARCH_SYMBOL = re.compile(r"\b(_*(x86_64|amd64|aarch64|i[3-6]86|x86|arm64|arm|ARM|riscv)_*(\w*__)?"
                         r"|__ARM_\w+|_M_\w+|(HX|HELIX|CONFIG)_(ARCH|X86|ARM|AARCH64)\w*)\b")
CONDITION = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif)\b(.*)")
INCLUDE = re.compile(r"\s*[#%]\s*include\s+([<\"])([^>\"]*)[>\"]")
VAGUE = re.compile(r"\b(for now|not (yet )?implemented|unimplemented|placeholder|FIXME|XXX)\b"
                   r"|\bTODO(?!\([^)]+\): \S)", re.IGNORECASE)
SOURCE = (".c", ".h", ".S", ".asm", ".inc", ".ld")
TEXT = SOURCE + (".py", ".toml", ".dts", ".cfg", ".sh", "SConscript", "SConstruct")
JOBS = 2
# cppcheck takes the linker script's symbols for objects, knows no function that never returns, and
# guesses about initialisation, which the compiler checks with the flow of the code in hand. A
# variable bound to a register and set to an array's element it takes for a statement of that alone.
NOISE = ("--suppress=comparePointers", "--suppress=va_end_missing", "--suppress=uninitvar",
         "--suppress=uninitStructMember", "--suppress=arrayIndexOutOfBoundsCond",
         "--suppress=constStatement:user/lib/arch/*/include/hx/arch.h")


def git(*words):
    done = subprocess.run(["git", "-c", "safe.directory=*", *words], text=True,
                          capture_output=True, check=False)
    return done.stdout.split("\0") if done.returncode == 0 else None


def tree(everything):
    """Files to look at: tracked and new ones; the changed ones only, unless everything."""
    known = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if known is None:
        known = [os.path.relpath(os.path.join(folder, name), ".")
                 for folder, _dirs, names in os.walk(".") for name in names
                 if not re.match(r"\./(build|\.git)\b", folder)]
    elif not everything:
        changed = git("diff", "-z", "--name-only", "HEAD")
        if changed is not None:
            new = git("ls-files", "-z", "--others", "--exclude-standard")
            known = set(changed) | set(new)
    return sorted({path for path in known if path and os.path.isfile(path)})


def logical_lines(text):
    """(number, line) with backslash continuations joined, as the preprocessor sees them."""
    number, held, start = 0, "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not held:
            start = number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        yield start, held + line
        held = ""


def rule_tag(path, text):
    if os.path.basename(path) not in NO_TAG and not path.endswith(NO_COMMENT) \
            and not os.path.dirname(path).endswith("_seeds"):
        if SPDX not in "\n".join(text.split("\n", 3)[:3]):
            yield 1, f"no '{SPDX}' in the first lines"


def rule_architecture(path, text):
    if path.startswith(("hal/", "boot/")) or not path.endswith((".c", ".h", ".S")):
        return
    for number, line in logical_lines(text):
        match = CONDITION.match(line)
        if match and ARCH_SYMBOL.search(match[2]):
            yield number, "a condition on the architecture outside hal/ and boot/"


def rule_include(path, text):
    if not path.endswith(SOURCE):
        return
    for number, line in logical_lines(text):
        match = INCLUDE.match(line)
        if match and (".." in match[2].split("/") or match[2].startswith("/")):
            yield number, f"include of {match[2]}: a path may neither climb nor be absolute"
        elif re.match(r"\s*#\s*include\s+[^<\"\s]", line):
            yield number, "an include of a macro hides what it includes"


def rule_ground_floor(path, text):
    """include/ includes nothing outside itself, but for the port's half of the HAL contract."""
    if not path.startswith("include/"):
        return
    for number, line in logical_lines(text):
        match = INCLUDE.match(line)
        if match and match[1] == "<" and "/" in match[2] \
                and match[2].split("/")[0] not in ("helix", "hal", "abi") \
                and not (path.startswith("include/hal/") and match[2].startswith("port/")):
            yield number, f"include of {match[2]}: include/ stands on nothing else"


def rule_vague(path, text):
    if not path.endswith(TEXT) or path == "site_scons/hosttools/check.py" \
            or path.startswith("tests/build/"):
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = VAGUE.search(line)
        if match:
            yield number, f"'{match[0]}': say what is true, or TODO(name): what and when"


RULES = (rule_tag, rule_architecture, rule_include, rule_ground_floor, rule_vague)


def check_text(files):
    complaints = []
    for path in files:
        with open(path, "rb") as file:
            raw = file.read()
        if b"\0" in raw and not path.endswith(TEXT):
            continue
        text = raw.decode("utf-8", "replace")
        for rule in RULES:
            complaints += [f"{path}:{line}: {what}" for line, what in rule(path, text)]
    return complaints


def run(command):
    try:
        done = subprocess.run(command, text=True, errors="replace", check=False,
                              capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise HelixError(f"check: {command[0]} is missing; run ./helix doctor") from None
    return done.returncode, (done.stdout + done.stderr).strip()


def check_format(files):
    sources = [path for path in files if path.endswith((".c", ".h"))]
    if not sources:
        return []
    status, said = run(["clang-format", "--dry-run", "-Werror", *sources])
    first = {}
    for match in re.finditer(r"^(\S+?):(\d+):\d+: error:", said, re.MULTILINE):
        first.setdefault(match[1], match[2])
    return [f"{path}:{line}: clang-format would write this otherwise"
            for path, line in first.items()] or ([said] if status else [])


def layer_of(path):
    """(layer, architecture) that compiles `path`; architecture None: any."""
    top, *rest = path.split("/")
    if top in ("hal", "boot") and len(rest) > 1 and rest[0] in toolchain.PREFIX:
        return top, rest[0]
    if top in ("core", "subsystems", "fs", "modules", "user"):
        return top, None
    return None, None


def include_roots(layer, arch):
    return user.include_roots(arch) if layer == "user" else layers.include_roots(layer, arch)


def outside_parts(layer, arch):
    """The parts from outside whose headers the layer may include."""
    return user.THIRD_PARTY if layer == "user" else layers.THIRD_PARTY.get((layer, arch), ())


def analysis_flags(layer, arch):
    """The layer's flags as clang understands them."""
    gcc_only = ("-fno-delete-null", "-momit-leaf", "-mno-outline", "-flto", "-fno-common",
                "-fno-tree-loop")
    flags = user.compile_flags(arch) if layer == "user" else \
        toolchain.compile_flags(arch, "debug", layer)
    flags = [f for f in flags if not f.startswith(("-W", "-O", *gcc_only,
                                                   "-mstack-protector-guard"))]
    flags += [f"-I{root}" for root in include_roots(layer, arch)]
    for part in outside_parts(layer, arch):
        flags += ["-isystem", "third_party/include"]
        for folder in thirdparty.INCLUDE[part]:
            flags += ["-isystem", parts.part_path(part, folder)]
    if layer == "fs":  # its outside libraries' headers, of the host
        flags += ["-isystem", "/usr/include", "-isystem", "/usr/include/x86_64-linux-gnu"]
    # What assemblers.py defines: such a file is compiled for its constants, not for its code.
    flags.append('-DASM_CONST(name,value)=__asm__ volatile("" : : "i"((long)(value)))')
    return flags + ["-isystem", toolchain.gcc_include(toolchain.PREFIX[arch] + "gcc"),
                    f"--target={arch}-linux-gnu"]


def generate_headers(folder):
    """Headers that otherwise only a build makes. An analyser wants the names, not the checksums."""
    with open("modules/runtime/exports.def", encoding="utf-8") as file:
        names = re.findall(r"^EXPORT\(.*, (\w+)\)$", file.read(), re.MULTILINE)
    with open(f"{folder}/export_crc.h", "w", encoding="ascii") as out:
        out.writelines(f"#define HX_CRC_{name} 0u\n" for name in names)


def check_analysis(files):
    """clang-tidy and cppcheck over C files, a few at a time."""
    with tempfile.TemporaryDirectory() as generated:
        generate_headers(generated)
        return analyse(files, generated)


def analyse(files, generated):
    jobs, groups = [], {}
    for path in files:
        layer, arch = layer_of(path)
        if path.endswith(".c") and layer:
            arch = arch or "x86_64"
            jobs.append(["clang-tidy", "--quiet", path, "--", *analysis_flags(layer, arch),
                         f"-I{generated}"])
            groups.setdefault((layer, arch), []).append(path)
    parts.ensure(*sorted({part for group in groups for part in outside_parts(*group)}))
    for (layer, arch), paths in groups.items():
        roots = [f"-I{root}" for root in include_roots(layer, arch)]
        jobs.append(["cppcheck", "--quiet", "--enable=warning,portability", "--inline-suppr",
                     "--std=c11", "--platform=unix64", "--suppress=missingIncludeSystem",
                     "--suppress=unknownMacro", *NOISE, "--error-exitcode=1", f"-D__{arch}__=1",
                     "-D__SIZEOF_POINTER__=8", "--template={file}:{line}: {message} [{id}]",
                     *roots, *paths])
    complaints = []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for status, said in pool.map(run, jobs):
            if status:
                said = said.replace(os.getcwd() + "/", "")
                complaints += [line for line in said.splitlines() if re.match(r"\S+:\d+", line)
                               and ": note: " not in line] or [said]
    return complaints


def compiles(source, arch, layer, top, folder):
    """Whether `source` compiles as a file of `layer`, include roots taken below `top`."""
    flags = toolchain.compile_flags(arch, "debug", layer)
    roots = [f"-I{top}/{root}" for root in layers.include_roots(layer, arch)]
    done = subprocess.run([toolchain.PREFIX[arch] + "gcc", *flags, *roots, "-fsyntax-only", "-x",
                           "c", "-"], input=source, text=True, capture_output=True, check=False,
                          cwd=folder)
    return done.returncode == 0


def header(layer, root):
    """A header's name that no other include root has."""
    return f"{layer}/{re.sub(chr(47), '_', root)}.h"


def check_layering():
    """Commit every upward include there can be, and see the compiler refuse it."""
    order = [name for name, _folder, _roots in layers.LAYERS]
    complaints, jobs = [], []
    with tempfile.TemporaryDirectory() as top:
        for arch in toolchain.PREFIX:
            roots = {name: [r.format(arch=arch) for r in own] for name, _f, own in layers.LAYERS}
            for name in order:
                for root in roots[name]:
                    os.makedirs(f"{top}/{root}/{name}", exist_ok=True)
                    with open(f"{top}/{root}/{header(name, root)}", "w", encoding="ascii") as out:
                        out.write("typedef int crime;\n")
            for low in order:
                for high in order[order.index(low) + 1:] + (["boot"] if low != "boot" else []):
                    for root in roots[high]:
                        jobs.append((arch, low, high, f"#include <{header(high, root)}>\n"))

        def verdict(job):
            arch, low, high, include = job
            if not compiles(include, arch, high, top, top):
                return f"layering: {high} on {arch} cannot include its own headers"
            if compiles(include, arch, low, top, top):
                return f"layering: on {arch} a file of {low} can include {high}: {include.strip()}"
            return None

        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            complaints = sorted({v for v in pool.map(verdict, jobs) if v})
    return complaints


def check_scripts(files):
    complaints = []
    for path in files:
        if path.endswith(".py") or os.path.basename(path) in ("SConstruct", "SConscript"):
            try:
                with open(path, encoding="utf-8") as file:
                    compile(file.read(), path, "exec")
            except SyntaxError as error:
                complaints.append(f"{path}:{error.lineno}: {error.msg}")
        elif path == "helix" or path.endswith(".sh") or path == ".ci/run":
            status, said = run(["sh", "-n", path])
            complaints += [said] if status else []
    return complaints


def main(everything):
    files = tree(everything)
    complaints = check_text(files) + check_scripts(files) + check_format(files)
    complaints += check_layering() + check_analysis(files)
    for line in complaints:
        print(line)
    if complaints:
        raise HelixError(f"check: {len(complaints)} complaints, listed above; "
                         "clang-format -i FILE mends the format")
    print(f"check: {len(files)} files, nothing to complain about")
    return 0
