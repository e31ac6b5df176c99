# SPDX-License-Identifier: MIT
"""gdb commands that know the kernel; `./helix gdb` loads them.

    hx-log [N]      the kernel's log, its last N lines, read from memory: works when all else hangs
    hx-irq          interrupt lines with handlers, and their counts
    hx-boot         what the loader told the kernel
    hx-where ADDR   the function that an address belongs to

Everything is read through debug information, so a changed field is an error message, not nonsense.
"""
import struct

import gdb


def variable(file, name):
    """A file-scope variable of one source file.

    Link-time optimisation describes it twice: in its file without a place, and with its place in
    a unit of code that the linker made up. Name and line say that they are the same.
    """
    symbols = gdb.lookup_static_symbols(name)
    lines = {s.line for s in symbols if s.symtab.filename.endswith(file)}
    for symbol in symbols:
        value = symbol.value()
        if symbol.line in lines and not value.is_optimized_out:
            return value
    raise gdb.GdbError(f"{file} has no '{name}' in memory")


def structure(file, name):
    """A structure that one source file keeps to itself: another file may have one of that name."""
    for symbol in gdb.lookup_static_symbols(name, gdb.SYMBOL_STRUCT_DOMAIN):
        if symbol.symtab.filename.endswith(file):
            return symbol.type
    raise gdb.GdbError(f"{file} has no 'struct {name}'")


def memory(address, size):
    return bytes(gdb.selected_inferior().read_memory(int(address), size))


class Log(gdb.Command):
    """hx-log [N]: the kernel's log, all of it or its last N lines."""

    def __init__(self):
        super().__init__("hx-log", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        logs = variable("core/log/log.c", "logs")
        ring = variable("core/log/log.c", "ring")
        size = ring.type.sizeof
        data = memory(ring.address, size)
        clock = gdb.parse_and_eval("*time_scale")
        base, base_ns, mult = (int(clock[f]) for f in ("base_counter", "base_ns", "mult"))
        record = structure("core/log/log.c", "record")
        places = {f.name: f.bitpos // 8 for f in record.fields()}

        def take(at, count):
            at %= size
            return data[at:at + count] + data[:max(0, at + count - size)]

        at, tail, lines = int(logs["head"]), int(logs["tail"]), []
        while at < tail:
            raw = take(at, record.sizeof)
            counter, = struct.unpack_from("<Q", raw, places["counter"])
            time_ns = base_ns + ((counter - base) * mult >> 32) if counter > base else 0
            area, = struct.unpack_from("<Q", raw, places["area"])
            length, = struct.unpack_from("<H", raw, places["length"])
            text = take(at + record.sizeof, length).decode("utf-8", "replace")
            name = gdb.Value(area).cast(gdb.lookup_type("char").pointer()).string()
            lines.append(f"[{time_ns // 10**9:4}.{time_ns // 1000 % 10**6:06}] {name}: {text}")
            at += record.sizeof + length
        for line in lines[-int(argument):] if argument else lines:
            print(line)


class Irq(gdb.Command):
    """hx-irq: interrupt lines that have a handler or have fired."""

    def __init__(self):
        super().__init__("hx-irq", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        lines = variable("core/irq/irq.c", "irqs")["lines"]
        first, last = lines.type.range()
        for number in range(first, last + 1):
            line = lines[number]
            if int(line["first"]) or int(line["count"]):
                name = line["first"]["name"].string() if int(line["first"]) else "-"
                stuck = " (masked: stuck)" if line["stuck"] else ""
                print(f"{number:5} {int(line['count']):12} unhandled {int(line['unhandled'])} "
                      f"{name}{stuck}")


class Boot(gdb.Command):
    """hx-boot: what the loader told the kernel."""

    def __init__(self):
        super().__init__("hx-boot", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        arch = gdb.selected_inferior().architecture().name()
        info = variable("boot/aarch64/main.c", "boot_information") if arch == "aarch64" else \
            variable("boot/x86_64/main.c", "info")
        print(f"loader  {info['loader'].string()}\ncmdline {info['cmdline'].string()}")
        for i in range(int(info["region_count"])):
            region = info["regions"][i]
            base, size = int(region["base"]), int(region["size"])
            print(f"{base:#018x} - {base + size:#018x} {region['kind']}")


class Where(gdb.Command):
    """hx-where ADDR: the function that an address belongs to."""

    def __init__(self):
        super().__init__("hx-where", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        gdb.execute(f"info symbol {argument}")
        gdb.execute(f"info line *({argument})")


for command in (Log, Irq, Boot, Where):
    command()
gdb.execute("set pagination off")
gdb.execute("set max-value-size unlimited")     # the log's ring is a value of 64 KiB
print("helix: hx-log, hx-irq, hx-boot, hx-where; `help NAME` explains, `continue` starts the guest")
