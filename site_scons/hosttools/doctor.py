# SPDX-License-Identifier: MIT
"""What of Helix works on this machine. The front door listed the packages; this tries them."""
import os
import subprocess
import tempfile

from . import parts
from .errors import HelixError
from .machine import OVMF_CODE, OVMF_VARS

TIMEOUT = 20


class Missing(HelixError):
    """Not installed, which is no fault: the command that needs it installs it."""


def attempt(*command, text=None, good=0):
    """Run a program; raises HelixError with its complaint unless it exits with `good`."""
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False,
                              timeout=TIMEOUT)
    except FileNotFoundError:
        raise Missing(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise HelixError(f"{command[0]} hangs") from None
    if done.returncode != good:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise HelixError(said[-1] if said else f"{command[0]} exits with {done.returncode}")


def compiler(prefix):
    attempt(f"{prefix}gcc", "-ffreestanding", "-nostdlib", "-O2", "-flto", "-r", "-x", "c", "-",
            "-o", "/dev/null", text="int f(int a) { return a + 1; }\n")


def sanitizers():
    with tempfile.TemporaryDirectory() as folder:
        attempt("clang", "-fsanitize=fuzzer,address,undefined", "-x", "c", "-", "-o",
                f"{folder}/f", text="int LLVMFuzzerTestOneInput(const char *d, long n)"
                                    "{ return d == 0 && n > 1 ? -1 : 0; }\n")
        attempt(f"{folder}/f", "-runs=10")


def emulator(arch, machine):
    """QEMU starts the machine: an exit device or semihosting is not needed to see that."""
    attempt(f"qemu-system-{arch}", "-M", machine, "-accel", "tcg", "-nodefaults", "-display",
            "none", "-monitor", "stdio", "-S", text="quit\n")


def firmware():
    for path in (OVMF_CODE, OVMF_VARS):
        if not os.path.exists(path):
            raise Missing(f"{path} is not installed")


def iso():
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/root")
        attempt("grub-mkrescue", "-o", f"{folder}/iso", "--install-modules=normal", "--fonts=",
                "--locales=", "--themes=", f"{folder}/root")


def downloads():
    missing = [name for name, part in parts.manifest().items() if not parts.present(name, part)]
    if missing:
        parts.update()


CHECKS = (
    ("compile and link for x86_64", lambda: compiler("x86_64-linux-gnu-")),
    ("compile and link for aarch64", lambda: compiler("aarch64-linux-gnu-")),
    ("assemble with NASM", lambda: attempt("nasm", "-v")),
    ("make device trees", lambda: attempt("dtc", "--version")),
    ("make an ISO", iso),
    ("emulate pc", lambda: emulator("x86_64", "pc")),
    ("emulate q35", lambda: emulator("x86_64", "q35")),
    ("emulate virt", lambda: emulator("aarch64", "virt")),
    ("emulate raspi3b", lambda: emulator("aarch64", "raspi3b")),
    ("UEFI firmware for x86_64", firmware),
    ("sanitizers and fuzzing on the host", sanitizers),
    ("analyse with clang-tidy, cppcheck", lambda: (attempt("clang-tidy", "--version"),
                                                   attempt("cppcheck", "--version"))),
    ("debug with gdb-multiarch", lambda: attempt("gdb-multiarch", "--version")),
    ("third-party parts, here or to be had", downloads),
)


def main():
    broken = 0
    for title, check in CHECKS:
        try:
            check()
            print(f"works      {title}")
        except Missing as error:
            print(f"missing    {title}: {error}")
        except HelixError as error:
            broken += 1
            print(f"fails      {title}: {error}")
    if broken:
        raise HelixError(f"doctor: {broken} of {len(CHECKS)} things fail on this machine though "
                         "what they need is installed; see above")
    return 0
