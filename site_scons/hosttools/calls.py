# SPDX-License-Identifier: MIT
"""The manual of the system calls, from <abi/syscalls.h> and docs/syscalls.txt.

What the table knows is written by it: number, arguments, kinds, rights, and the statuses that the
gateway and the handle tables give by themselves. docs/syscalls.txt adds what a person has to say.
"""
import re

from .errors import HelixError

TABLE, WORDS = "include/abi/syscalls.h", "docs/syscalls.txt"

C_TYPES = {"V": "u64 {0}", "F": "u64 {0}", "I": "const void *{0}", "O": "void *{0}",
           "H": "hx_handle_t {0}"}
GENERAL = {
    "F": "HX_ERR_INVALID: {0} has a bit outside {1}.",
    "I": "HX_ERR_FAULT: {0} is not memory that can be read.",
    "O": "HX_ERR_FAULT: {0} is not memory that can be written.",
    "H": "HX_ERR_BAD_HANDLE: {0} is no handle, or of another type.\n"
         "HX_ERR_REVOKED: what {0} stands for was revoked, or has expired.\n"
         "HX_ERR_BUSY: another holder has claimed the object of {0}.",
}


def table(text):
    """The lines of HX_SYSCALLS as (number, name, [(kind, words...)])."""
    body = re.search(r"#define HX_SYSCALLS\(X\)(.*?)\n\n", text, re.DOTALL)
    if not body:
        raise HelixError(f"{TABLE}: no HX_SYSCALLS")
    flat = re.sub(r"\\?\n\s*", " ", body[1])
    calls = []
    for number, name, rest in re.findall(r"\bX\((\d+), (\w+), ((?:[^()]|\([^()]*\))*)\)", flat):
        args = [(kind, [word.strip() for word in words.split(",")] if words else [])
                for kind, words in re.findall(r"\b([NVFIOH])(?:\(([^()]*)\))?", rest)]
        calls.append((int(number), name, [arg for arg in args if arg[0] != "N"]))
    return calls


def words(text):
    """What docs/syscalls.txt says of each call."""
    parts = re.split(r"^= (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2])))


def describe(kind, arg):
    """One argument, as a line."""
    if kind == "H":
        what = "any object" if arg[1] == "HX_OBJECT_NONE" else arg[1]
        return f"    {arg[0]}: handle to {what}" + ("" if arg[2] == "0" else f", needs {arg[2]}")
    if kind in "IO":
        size = f"{arg[1]} bytes"
        return f"    {arg[0]}: {'read' if kind == 'I' else 'written'}, {size}"
    return f"    {arg[0]}: flags of {arg[1]}" if kind == "F" else f"    {arg[0]}"


def page(number, name, args, text):
    """The page of one call."""
    parameters = ", ".join(C_TYPES[kind].format(arg[0]) for kind, arg in args) or "void"
    lines = [f"{name} ({number})", "", f"    s64 hx_sys_{name}({parameters})", ""]
    lines += [describe(kind, arg) for kind, arg in args] + ([""] if args else [])
    prose = [line for line in text.splitlines() if not line.startswith("HX_ERR_")]
    statuses = [line for line in text.splitlines() if line.startswith("HX_ERR_")]
    for kind, arg in args:
        statuses += GENERAL.get(kind, "").format(*arg).splitlines()
    if any(kind == "H" and arg[2] != "0" for kind, arg in args):
        statuses.append("HX_ERR_ACCESS: a handle lacks a right that this needs.")
    return "\n".join(lines + prose + [""] + [f"    {line}" for line in statuses]) + "\n"


def manual(table_text, words_text):
    """All pages, and the names of the calls that docs/syscalls.txt does not know."""
    said = words(words_text)
    calls = table(table_text)
    unknown = set(said) - {name for _, name, _ in calls}
    if unknown:
        raise HelixError(f"{WORDS}: no such call: {', '.join(sorted(unknown))}")
    pages = [page(number, name, args, said.get(name, "")) for number, name, args in calls]
    return ("\n" + "-" * 80 + "\n\n").join(pages), [n for _, n, _ in calls if n not in said]
