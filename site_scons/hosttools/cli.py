# SPDX-License-Identifier: MIT
"""The commands of ./helix. Each is a function that returns the exit status.

A failure is one line on standard error that says what failed and what to do; what a failing tool
printed comes before it.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import bench, check, doctor, suites
from .build import scons
from .errors import HelixError
from .guest import Guest, run_command
from .machine import Machine, output
from .profile import Profile

EXEC_TIMEOUT = 60
BENCH_TIMEOUT = 900


class Parser(argparse.ArgumentParser):
    """argparse, its errors cut to one line."""

    def error(self, message):
        raise HelixError(f"{message}; `./helix help` lists commands and options")


def positive(text):
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def pair(text):
    host, equals, guest = text.partition("=")
    if not equals or not host or not guest:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST=GUEST")
    return host, guest


def options():
    """OPTIONS, the same everywhere."""
    parser = Parser(add_help=False)
    add = parser.add_argument
    add("--arch", choices=["x86_64", "aarch64", "host"], help="default x86_64")
    add("--board", help="x86_64: pc (default) or q35; aarch64: virt (default) or raspi3b")
    add("--profile", default="minimal", help="profiles/NAME (default minimal)")
    add("--variant", choices=["release", "debug", "asan"], default="release",
        help="default release")
    add("--smp", type=positive, default=1, metavar="N", help="processors (default 1)")
    add("--mem", type=positive, metavar="MIB", help="memory (default: the profile's)")
    add("--disk", action="append", default=[], metavar="FILE", help="a disk image, repeatable")
    add("--firmware", choices=["bios", "uefi"], default="bios", help="x86_64 (default bios)")
    add("--icount", action="store_true", help="the instruction clock: one instruction is 1 ns")
    add("--timeout", type=positive, metavar="SECONDS",
        help=f"default {EXEC_TIMEOUT} for exec, {BENCH_TIMEOUT} for bench, none for run")
    add("--cmdline", default="", metavar="TEXT", help="more words for the kernel")
    add("--file", action="append", default=[], type=pair, metavar="HOST=GUEST",
        help="put a file into the booted system, repeatable")
    add("--no-install", action="store_true", help="never install packages, say what is missing")
    add("--verbose", action="store_true", help="show whole command lines")
    return parser


def parser():
    common = options()
    top = Parser(prog="./helix", description="Helix: build, boot, test.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name, function, text):
        sub = commands.add_parser(name, parents=[common], help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    command("run", do_run, "boot, with the shell on this terminal (Ctrl-A X or poweroff leaves)")
    sub = command("exec", do_exec, "boot, run a command line, exit with its status")
    sub.add_argument("words", nargs="+", metavar="-- 'COMMAND LINE'")
    sub = command("test", do_test, "run the tests (default: all but nightly)")
    sub.add_argument("suites", nargs="*", metavar="SUITE[:GLOB]")
    sub.add_argument("--list", action="store_true", help="name the suites and their tests")
    sub = command("bench", do_bench, "run the benchmarks under the instruction clock")
    sub.add_argument("names", nargs="*", metavar="NAME")
    sub.add_argument("--json", action="store_true", help="one JSON object a line")
    sub.add_argument("--update-baseline", action="store_true",
                     help=f"write the figures to {bench.BASELINE}")
    command("build", do_build, "build everything that boots (--arch host: tools and host units)")
    command("clean", do_clean, "remove what was built (downloads and logs stay)")
    command("gdb", do_gdb, "boot stopped, with gdb attached")
    sub = command("check", do_check, "format, layering and static analysis of what changed")
    sub.add_argument("--all", action="store_true", help="of everything, not just what changed")
    command("doctor", do_doctor, "say what is installed, what is missing, what works")
    sub = commands.add_parser("help", help="this text")
    sub.set_defaults(function=lambda _args: top.print_help() or 0)
    return top


def machine(args, **more):
    """The machine that the options describe."""
    profile = Profile(args.profile)
    return Machine(arch=args.arch or "x86_64", board=args.board, variant=args.variant,
                   mib=args.mem or profile.mib, smp=args.smp, firmware=args.firmware,
                   icount=args.icount, cmdline=args.cmdline, disks=args.disk, files=args.file,
                   **more)


def build(args, what):
    scons(what.arch, what.variant, args.profile, what.targets(), args.verbose)


def do_run(args):
    what = machine(args, interactive=True)
    build(args, what)
    if sys.stdin.isatty():
        print("helix: Ctrl-A X or `poweroff` leaves", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="helix-") as scratch:
        process = subprocess.Popen(what.command(scratch))
        # The terminal's signals are the guest's while it runs.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            status = process.wait(args.timeout)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            print(f"helix: stopped after {args.timeout} s, as --timeout says", file=sys.stderr)
            return 124
    if status != 0:
        raise HelixError(f"QEMU ended with status {status}; `./helix doctor` checks this machine")
    return 0


def do_exec(args):
    what = machine(args)
    build(args, what)

    def show(data):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    result = run_command(what, " ".join(args.words), args.timeout or EXEC_TIMEOUT, show)
    if result.reason:
        print(result.panic or result.log, file=sys.stderr)
        advice = {124: "; --timeout gives it longer"}.get(result.status, "")
        print(f"helix: exec: {result.reason}{advice}", file=sys.stderr)
    return result.status


def do_test(args):
    return suites.main(args)


def do_bench(args):
    what = bench.machine(args.arch or "x86_64", args.variant, args.disk)
    build(args, what)
    figures = bench.run(what, args.names, args.timeout or BENCH_TIMEOUT)
    bench.show(figures, args.json)
    if args.update_baseline:
        bench.update_baseline(figures)
    return 0


def do_build(args):
    scons(args.arch or "x86_64", args.variant, args.profile, [], args.verbose, show=True)
    return 0


def do_clean(_args):
    for name in ("x86_64", "aarch64", "host"):
        shutil.rmtree(os.path.join("build", name), ignore_errors=True)
    return 0


def do_gdb(args):
    log = os.path.join("build", args.arch or "x86_64", args.variant, "gdb-serial.log")
    with tempfile.TemporaryDirectory(prefix="helix-") as scratch:
        stub = os.path.join(scratch, "gdb")
        what = machine(args, gdb=stub, serial=f"file:{log}")
        build(args, what)
        symbols = output(what.arch, what.variant, "helix-kernel.sym")
        with Guest(what) as guest:
            while not os.path.exists(stub):
                if guest.process.poll() is not None:
                    raise HelixError(f"QEMU did not start: {guest.complaint()}")
                time.sleep(0.02)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print(f"helix: the guest's serial line goes to {log}", file=sys.stderr)
            arch = {"x86_64": "i386:x86-64", "aarch64": "aarch64"}[what.arch]
            return subprocess.run(["gdb-multiarch", "-q", "-ex", f"set architecture {arch}",
                                   "-ex", f"target remote {stub}", "-x", "tools/gdb/helix.py",
                                   symbols], check=False).returncode


def do_check(args):
    return check.main(args.all)


def do_doctor(_args):
    return doctor.main()


def main():
    try:
        args = parser().parse_args(sys.argv[1:] or ["help"])
        status = args.function(args)
        sys.stdout.flush()
        return status
    except HelixError as error:
        if error.detail:
            print(error.detail, file=sys.stderr)
        print(f"helix: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("helix: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away. Give what is left nowhere to fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


if __name__ == "__main__":
    sys.exit(main())
