# SPDX-License-Identifier: MIT
"""SCons tool: `.asm` is NASM, `.S` is GNU as behind the C preprocessor, never the other way round.

SCons' stock nasm tool takes `AS` and `.s` with it, so both are bound here. A scanner follows
%include, so that an edit of an included file rebuilds what includes it. Numbers that C and
assembly share (sizes, offsets of fields) have one home, a C file that the layer names with
`layer.constants("name.c")` and that says ASM_CONST(NAME, expression) in a function's body; NASM
then reads <name>.inc and GNU as <name>.h, both generated.
"""
import re

from SCons.Script import Builder, CScanner, Scanner
from site_tools.buildlog import command_action, step_action

INCLUDE = re.compile(r'^\s*%include\s+"([^"]+)"', re.MULTILINE)
CONSTANT = re.compile(r"^\s*@const (\w+) (-?\d+)\s*$", re.MULTILINE)
MARK = ("-D'ASM_CONST(name,value)=__asm__ volatile(\"\\n@const \" #name \" %c0\" : : "
        "\"i\"((long)(value)))'")


def scan_includes(node, env, path):
    """Files that an assembly file %includes, found along ASMPATH."""
    names = INCLUDE.findall(node.get_text_contents())
    found = (env.FindFile(name, path) for name in names)
    return [f for f in found if f is not None]


def emit_constants(target, source, env):
    """Turn the compiler's view of the constants into what each assembler reads."""
    pairs = CONSTANT.findall(source[0].get_text_contents())
    if not pairs:
        raise ValueError(f"{source[0]}: no ASM_CONST found")
    with open(target[0].abspath, "w", encoding="ascii") as inc:
        inc.writelines(f"%define {name} {value}\n" for name, value in pairs)
    with open(target[1].abspath, "w", encoding="ascii") as header:
        header.writelines(f"#define {name} {value}\n" for name, value in pairs)


def generate(env):
    env["NASM"] = "nasm"
    env["NASMFLAGS"] = "-f elf64 --reproducible -Werror".split()
    env["NASMCOM"] = "$NASM $NASMFLAGS ${_concat('-I ', ASMPATH, '/', __env__, RDirs)} " \
                     "-o $TARGET $SOURCE"
    env["ASPPCOM"] = "$CC -o $TARGET -c $CCFLAGS $_CCCOMCOM $SOURCES"
    env["ASMPATH"] = []
    scanner = Scanner(function=scan_includes, skeys=[".asm", ".inc"], recursive=True,
                      path_function=lambda e, d, *_: tuple(e.Dir(p) for p in e["ASMPATH"]))
    env["BUILDERS"]["Nasm"] = Builder(
        action=command_action(env, "$NASMCOM", "  NASM     $TARGET"), suffix=".o",
        src_suffix=".asm", source_scanner=scanner)
    env["BUILDERS"]["Gas"] = Builder(
        action=command_action(env, "$ASPPCOM", "  AS       $TARGET"), suffix=".o",
        src_suffix=".S", source_scanner=CScanner)
    env["BUILDERS"]["ConstantsText"] = Builder(
        action=command_action(env, "$CC -o $TARGET -S $CFLAGS $CCFLAGS " + MARK +
                              " $_CCCOMCOM $SOURCES", "  CONST    $TARGET"),
        suffix=".const", src_suffix=".c", source_scanner=CScanner)
    env["BUILDERS"]["Constants"] = Builder(
        action=step_action("prepare", emit_constants, "  GEN      $TARGETS"))


def exists(env):
    return env.Detect("nasm")
