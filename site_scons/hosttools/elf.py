# SPDX-License-Identifier: MIT
"""Reader of little-endian ELF64 files, as far as the build and its checks need.

Reads what our own linker wrote, so malformed input is a ValueError and nothing more.
Spec: System V ABI, chapters 4 (object files) and 5 (program loading).
"""
import struct
from collections import namedtuple

Section = namedtuple("Section", "name type flags addr offset size link info align entsize")
Segment = namedtuple("Segment", "type flags offset vaddr paddr filesz memsz align")
Symbol = namedtuple("Symbol", "name value size type bind section")

PT_LOAD, PF_X, PF_W, PF_R = 1, 1, 2, 4
SHT_SYMTAB = 2
SHN_UNDEF = 0
STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2
STB_GLOBAL = 1
EM_X86_64, EM_AARCH64 = 62, 183


class Elf:
    """Sections, segments and symbols of a file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = data = file.read()
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path}: not a little-endian ELF64 file")
        (self.type, self.machine, _version, self.entry, phoff, shoff, _flags, _ehsize, phentsize,
         phnum, shentsize, shnum, shstrndx) = struct.unpack_from("<HHIQQQIHHHHHH", data, 16)
        self.segments = []
        for i in range(phnum):
            kind, flags, *rest = struct.unpack_from("<IIQQQQQQ", data, phoff + i * phentsize)
            self.segments.append(Segment(kind, flags, *rest))
        raw = [Section(*struct.unpack_from("<IIQQQQIIQQ", data, shoff + i * shentsize))
               for i in range(shnum)]
        names = raw[shstrndx] if shnum else None
        self.sections = [s._replace(name=self._string(names, s.name)) for s in raw]

    def _string(self, table, offset):
        start = table.offset + offset
        return self.data[start:self.data.index(b"\0", start)].decode("ascii", "replace")

    def section(self, name):
        """The section of that name, or None."""
        return next((s for s in self.sections if s.name == name), None)

    def bytes_of(self, section):
        return self.data[section.offset:section.offset + section.size]

    def symbols(self):
        """Every symbol of the symbol table; `section` is a name, "" when undefined."""
        table = next((s for s in self.sections if s.type == SHT_SYMTAB), None)
        if table is None:
            return []
        result = []
        for at in range(table.offset + 24, table.offset + table.size, 24):
            name, info, _other, shndx, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
            section = self.sections[shndx].name if 0 < shndx < len(self.sections) else \
                "" if shndx == SHN_UNDEF else "*"
            result.append(Symbol(self._string(self.sections[table.link], name), value, size,
                                 info & 15, info >> 4, section))
        return result


def text_symbols(elf):
    """Functions of .text as (address, name), ascending, one per address.

    The compiler's clones (name.part.0, name.lto_priv.1) lose what follows the dot: a backtrace
    wants the source's name. Of assembly labels, those with a type or with linkage count.
    """
    best = {}
    for symbol in elf.symbols():
        function = symbol.type == STT_FUNC
        if symbol.section != ".text" or not (
                function or symbol.type == STT_NOTYPE and symbol.bind == STB_GLOBAL):
            continue
        name = symbol.name.split(".")[0]
        if not name or name[0] == "$" or name.startswith("__text_"):
            continue
        rank = (function, symbol.bind, name)
        if symbol.value not in best or rank > best[symbol.value]:
            best[symbol.value] = rank
    return [(address, best[address][2]) for address in sorted(best)]
