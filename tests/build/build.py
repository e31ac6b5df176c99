# SPDX-License-Identifier: MIT
"""The build: the same bytes twice, nothing done twice, errors that say where."""
import glob
import os
import re
import struct

from hosttools import elf, parts, verify
from hosttools.errors import HelixError
from hosttools.profile import Profile
from hosttools.suites import arches, each, load

tree = load("tests/build/copy.py")
GOOD = """# SPDX-License-Identifier: MIT
[profile]
name = "bad"
description = "text"
[modules]
built_in = []
[memory]
mib = 64
[boot]
cmdline = "loglevel=info"
first_program = "shell"
"""


def scons(t, top, *words, env=None):
    return t.run("/usr/bin/scons", "-Q", *words, cwd=top, env=env)


@arches
def test_two_builds_give_the_same_bytes(t, arch):
    """In two folders, of different length, and apart in time."""
    made = []
    for name in ("one", "the-other-one"):
        top = tree.copy_tree(f"{t.tmp}/{name}", "same")
        done = scons(t, top, f"arch={arch}", "kernel", "iso", "symbols")
        assert done.returncode == 0, done.stdout + done.stderr
        folder = f"{top}/build/{arch}/release/output"
        made.append({file: open(f"{folder}/{file}", "rb").read()
                     for file in sorted(os.listdir(folder))})
    first, second = made
    assert first.keys() == second.keys() and len(first) >= 3, (first.keys(), second.keys())
    differing = [name for name in first if first[name] != second[name]]
    assert not differing, f"differ: {differing}"


def test_a_build_without_changes_does_nothing(t):
    t.build("x86_64")
    done = t.run("/usr/bin/scons", "-Q", f"variant={t.variant}", f"profile={t.profile}")
    assert done.returncode == 0, done.stderr
    busy = [line for line in done.stdout.splitlines() if "up to date" not in line
            and "compilation database" not in line]     # SCons writes that one every time
    assert not busy, busy


def test_the_log_has_a_line_for_each_step(t):
    top = tree.copy_tree(f"{t.tmp}/tree")
    done = scons(t, top)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = glob.glob(f"{top}/build/logs/build_*.log")
    assert len(logs) == 1 and re.search(r"/build_\d{8}\.log$", logs[0]), logs
    with open(logs[0], encoding="utf-8") as file:
        lines = [re.fullmatch(r"\S+ \S+ x86_64/release +(\w+) +(.*?) +(\d+\.\d\d) s", line)
                 for line in file.read().splitlines()]
    assert all(lines), "a line of another form"
    steps = [line[1] for line in lines]
    assert steps == ["prepare", "boot", "core", "HAL", "modules", "fs", "subsystems", "user",
                     "tests", "profile", "link", "ISO", "verify", "symbols", "total"], steps
    took = {line[1]: (line[2], float(line[3])) for line in lines}
    for step in ("boot", "core", "HAL", "link", "ISO"):
        assert took[step][1] > 0 and "commands" in took[step][0], (step, took[step])
    assert took["total"][0] == "ok"


def test_a_failing_build_says_so_in_the_log(t):
    top = tree.copy_tree(f"{t.tmp}/tree")
    tree.edit(top, "core/SConscript", 'Return("objects")',
              'objects += layer.objects("crime.c")\nReturn("objects")')
    tree.write(top, "core/crime.c", "#error crime\n")
    done = t.helix("build", "--no-install", "--variant", "debug", cwd=top)
    assert done.returncode == 1 and "crime" in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].startswith("helix: the build of x86_64/debug failed")
    with open(glob.glob(f"{top}/build/logs/*.log")[0], encoding="utf-8") as file:
        assert re.search(r"total +1 failed", file.read())


def test_a_warning_is_an_error(t):
    top = tree.copy_tree(f"{t.tmp}/tree")
    tree.edit(top, "core/SConscript", 'Return("objects")',
              'objects += layer.objects("crime.c")\nReturn("objects")')
    tree.write(top, "core/crime.c", "int crime(void)\n{\n    return 1;\n}\n")
    done = scons(t, top, "variant=debug", "build/x86_64/debug/obj/core/crime.o")
    assert done.returncode != 0 and "-Werror=missing-prototypes" in done.stderr, done.stderr


def test_an_edited_nasm_include_rebuilds_what_includes_it(t):
    top = tree.copy_tree(f"{t.tmp}/tree")
    tree.edit(top, "boot/x86_64/SConscript", 'Return("objects")',
              'objects += layer.objects("user.asm")\nReturn("objects")')
    tree.write(top, "boot/x86_64/user.asm", '%include "value.inc"\nsection .text\ndd VALUE\n')
    target = "build/x86_64/debug/obj/boot/x86_64/user.o"
    contents = []
    for value in (1, 2):
        tree.write(top, "boot/include/value.inc", f"%define VALUE 0x1234567{value}\n")
        done = scons(t, top, "variant=debug", target)
        assert done.returncode == 0, done.stdout + done.stderr
        with open(f"{top}/{target}", "rb") as file:
            contents.append(file.read())
    for value, content in zip((1, 2), contents):
        assert struct.pack("<I", 0x12345670 + value) in content, value


BAD = {
    "syntax": ('mib = 64', 'mib = = 64', 8, "Invalid value"),
    "unknown_table": ("[memory]", "[memorx]", 7, "unknown table [memorx]"),
    "unknown_key": ("mib = 64", "mib = 64\nmibs = 65", 9, "unknown key 'mibs'"),
    "missing_key": ("mib = 64", "", 7, "[memory] needs 'mib'"),
    "wrong_type": ("mib = 64", 'mib = "64"', 8, "'mib' is a whole number"),
    "boolean": ("mib = 64", "mib = true", 8, "'mib' is a whole number"),
    "range": ("mib = 64", "mib = 4", 8, "'mib' is 16 to"),
    "name": ('name = "bad"', 'name = "good"', 3, "'name' is the folder's name"),
    "module": ("built_in = []", 'built_in = ["nosuch"]', 6, "there is no module 'nosuch'"),
    "module_name": ("built_in = []", 'built_in = ["../core"]', 6, "is not a module name"),
    "cmdline": ('cmdline = "loglevel=info"', 'cmdline = "a\\nb"', 10, "printable ASCII"),
    "long_cmdline": ("loglevel=info", "x" * 600, 10, "longer than 512"),
    "program": ('first_program = "shell"', 'first_program = "a b"', 11, "not a program name"),
}


@each(**{name: {"bad": bad} for name, bad in BAD.items()})
def test_profile_error(t, bad):
    old, new, line, message = bad
    assert old in GOOD
    tree.write(t.tmp, "profiles/bad/helix.toml", GOOD)
    Profile("bad", t.tmp)
    tree.write(t.tmp, "profiles/bad/helix.toml", GOOD.replace(old, new))
    try:
        Profile("bad", t.tmp)
    except HelixError as error:
        assert str(error).startswith(f"profiles/bad/helix.toml:{line}: "), error
        assert message in str(error), error
    else:
        raise AssertionError("accepted")


def test_profile_error_stops_the_build_in_one_line(t):
    top = tree.copy_tree(f"{t.tmp}/tree", "none")
    tree.write(top, "profiles/bad/helix.toml", GOOD.replace("mib = 64", "mib = 0"))
    done = t.helix("build", "--no-install", "--profile", "bad", cwd=top)
    assert done.returncode == 1
    assert "profiles/bad/helix.toml:8: 'mib' is 16" in done.stderr, done.stderr
    done = t.helix("build", "--no-install", "--profile", "../minimal", cwd=top)
    assert done.returncode == 1 and "profile '../minimal': a name is" in done.stderr, done.stderr
    done = t.helix("exec", "--no-install", "--profile", "nosuch", "--", "version", cwd=top)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "there is no profiles/nosuch/helix.toml" in done.stderr, done.stderr


def test_an_unknown_option_is_refused(t):
    done = t.run("/usr/bin/scons", "-Q", "arhc=x86_64")
    assert done.returncode != 0 and "no option 'arhc'" in done.stderr, done.stderr


def refused(function, *words):
    """The message with which a check refuses; fails when it does not."""
    try:
        function(*words)
    except HelixError as error:
        return str(error)
    raise AssertionError("accepted")


def patched(t, path, name, patch):
    """A copy of a file with some bytes changed: {offset: bytes}; past its end means at its end."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    for offset, new in patch.items():
        data[offset:offset + len(new)] = new
    with open(f"{t.tmp}/{name}", "wb") as file:
        file.write(data)
    return f"{t.tmp}/{name}"


def test_verify_refuses_a_writable_and_executable_segment(t):
    t.build("x86_64", ["iso"], "release")
    kernel = "build/x86_64/release/output/helix-kernel"
    linked = "build/x86_64/release/link/helix-kernel/helix-kernel.elf"
    verify.verify_kernel(kernel, linked, "x86_64", "release")
    (phoff,) = struct.unpack_from("<Q", elf.Elf(kernel).data, 32)
    bad = patched(t, kernel, "rwx", {phoff + 4: b"\7"})
    assert "writable and executable" in refused(verify.verify_kernel, bad, linked, "x86_64",
                                                "release")
    padded = patched(t, kernel, "big", {1 << 30: bytes(401 * 1024)})
    assert "more than" in refused(verify.verify_kernel, padded, linked, "x86_64", "release")
    data = elf.Elf(kernel).data
    header = data.index(struct.pack("<I", 0xE85250D6))
    lost = patched(t, kernel, "lost", {header: b"\0\0\0\0"})
    assert "Multiboot2" in refused(verify.verify_kernel, lost, linked, "x86_64", "release")
    undefined = f"{t.tmp}/undefined.o"
    t.tool("sh", "-c", f"echo 'int x; int f(void); int g(void) {{ return f(); }}' | "
                       f"gcc -c -x c - -o {undefined}")
    assert "undefined symbols: f" in refused(verify.verify_kernel, kernel, undefined, "x86_64",
                                             "release")


def test_verify_refuses_a_bad_image_header(t):
    t.build("aarch64", ["kernel"], "release")
    image = "build/aarch64/release/output/helix-kernel.img"
    verify.verify_image(image)
    for name, patch in (("magic", {56: b"X"}), ("size", {16: bytes(8)}), ("endian", {24: b"\1"}),
                        ("offset", {8: b"\1"})):
        assert "Image" in refused(verify.verify_image, patched(t, image, name, patch)), name


@arches
def test_symbol_table_is_what_the_linker_says(t, arch):
    """The generated table against GNU nm, which shares no code with our ELF reader."""
    t.build(arch, ["symbols"])
    work = f"build/{arch}/{t.variant}/link/helix-kernel"
    linked = elf.Elf(f"{work}/helix-kernel.elf")
    section = linked.section(".ksyms") or linked.section(".rodata")
    where = {s.name: s.value for s in linked.symbols() if s.name.startswith("ksyms_")}
    start = next(s.value for s in linked.symbols() if s.name == "__text_start")

    def at(symbol):
        return section.offset + where[symbol] - section.addr

    def word(symbol, index=0):
        return struct.unpack_from("<I", linked.data, at(symbol) + 4 * index)[0]

    def text(code):
        if code < 128:
            return chr(code)
        pair = at("ksyms_pairs") + 2 * (code - 128)
        return "".join(text(part) for part in linked.data[pair:pair + 2])

    count, here, address, table = word("ksyms_count"), at("ksyms_stream"), start, {}
    for i in range(count):
        step = shift = 0
        while True:
            byte = linked.data[here]
            step, shift, here = step | (byte & 127) << shift, shift + 7, here + 1
            if byte < 128:
                break
        if i % 32 == 0:
            offset, place = word("ksyms_blocks", i // 16), word("ksyms_blocks", i // 16 + 1)
            assert (here - 1 - at("ksyms_stream"), step) == (place, 0)
            address = start + offset
        address += step
        end = here + 1 + linked.data[here]
        table[address] = "".join(text(code) for code in linked.data[here + 1:end])
        here = end
    assert len(table) == count > 50 and list(table) == sorted(table)
    functions = re.findall(r"^([0-9a-f]+) [tT] (\S+)$",
                           t.tool("nm", f"{work}/helix-kernel.elf"), re.MULTILINE)
    by_address = {}
    for address, name in functions:
        by_address.setdefault(int(address, 16), set()).add(name.split(".")[0])
    wrong = {a: n for a, n in table.items() if n not in by_address.get(a, ())}
    assert not wrong, wrong
    assert {"panic", "command_panic"} <= set(table.values())


def test_a_part_with_another_hash_is_refused(t):
    top = tree.copy_tree(f"{t.tmp}/tree", "none")
    pinned = parts.manifest()["libfdt-arm64"]["sha256"]
    tree.edit(top, "third_party/manifest.toml", pinned, "0" * 64)
    done = scons(t, top, "arch=aarch64")
    if "cannot" in done.stderr:
        t.skip("the Debian archive is out of reach")
    assert done.returncode != 0 and "error: third party: libfdt-dev" in done.stderr, done.stderr
    assert pinned in done.stderr and done.stderr.count("\n") == 1, done.stderr
    tree.edit(top, "third_party/manifest.toml", "0" * 64, pinned)
    done = scons(t, top, "arch=aarch64", "build/aarch64/release/gen/version.c")
    assert done.returncode == 0, f"the part that was there is gone: {done.stderr}"


def test_a_missing_part_offline_is_said_in_one_line(t):
    top = tree.copy_tree(f"{t.tmp}/tree", "none")
    t.tool("rm", "-rf", f"{top}/build/third_party")
    nowhere = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy":
               "http://127.0.0.1:9"}
    done = scons(t, top, "arch=aarch64", env=nowhere)
    assert done.returncode != 0 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: third party: cannot reach the Debian archive"), \
        done.stderr


def test_debian_sources_of_both_forms_are_understood(t):
    tree.write(t.tmp, "apt/sources.list", "# deb http://no.example/debian x main\n"
               "deb http://a.example/debian bookworm main contrib # note\n"
               "deb-src http://a.example/debian bookworm main\n"
               "deb [signed-by=/k.gpg arch=amd64] http://b.example/debian-security s main\n"
               "deb http://vendor.example/apt stable main\n")
    tree.write(t.tmp, "apt/sources.list.d/x.sources", "Types: deb deb-src\nURIs: "
               "http://c.example/debian/\n# a comment\nSuites: bookworm bookworm-updates\n"
               "Components: main\n contrib\nSigned-By: /usr/share/keyrings/d.gpg\n\n"
               "Enabled: no\nTypes: deb\nURIs: http://no.example/debian\nSuites: x\n"
               "Components: main\n")
    both, key = "arch=amd64,arm64", "signed-by=/usr/share/keyrings/d.gpg"
    packages = [
        (both, "http://a.example/debian bookworm main contrib"),
        (f"{both} signed-by=/k.gpg", "http://b.example/debian-security s main"),
        (f"{both} {key}", "http://c.example/debian/ bookworm main contrib"),
        (f"{both} {key}", "http://c.example/debian/ bookworm-updates main contrib")]
    wanted = []
    for options, rest in packages:      # sources are of no machine
        options_of_source = options.replace(both, "").strip()
        wanted += [f"deb [{options}] {rest}",
                   f"deb-src [{options_of_source}] {rest}" if options_of_source
                   else f"deb-src {rest}"]
    assert parts.debian_sources(f"{t.tmp}/apt") == wanted
