# SPDX-License-Identifier: MIT
"""A running guest: its serial line, its end, and the protocol of `./helix exec`.

The kernel boots with the words exec="COMMAND LINE" nonce=HEX exit=qemu, and its shell brackets the
command's output on the serial line:
    @helix HEX begin
    ...output...
    @helix HEX end STATUS
The nonce keeps a program from forging the end. Then the guest leaves through QEMU's exit device
with status 0; after a panic, whose report begins with a line "PANIC: ", with status 125.
"""
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from .errors import HelixError

OUTPUT_MAX = 16 << 20   # a guest that prints without end must not eat the machine
TIMEOUT, PANIC = 124, 125
PANIC_MARK = b"PANIC: "


class Guest:
    """QEMU with the guest's serial line on pipes. Use as a context manager: leaving kills it."""

    def __init__(self, machine):
        self.machine = machine
        self.scratch = tempfile.mkdtemp(prefix="helix-")
        self.data = bytearray()
        self.seen = 0           # where the next expect() begins to look
        self.fresh = threading.Condition()
        self.timed_out = False
        try:
            self.command = machine.command(self.scratch)
            self.stderr = open(os.path.join(self.scratch, "stderr"), "w+b")
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=self.stderr)
        except FileNotFoundError:
            shutil.rmtree(self.scratch)
            raise HelixError(f"{self.command[0]} is missing; run ./helix doctor") from None
        except BaseException:
            shutil.rmtree(self.scratch)
            raise
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def _read(self):
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            with self.fresh:
                self.data += chunk
                if len(self.data) > OUTPUT_MAX:
                    self.process.kill()
                self.fresh.notify_all()
        with self.fresh:
            self.fresh.notify_all()

    def close(self):
        """Kill what still runs, and clean up. The output stays readable."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass
        self.complaint()
        self.stderr.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def text(self):
        """All serial output, as text with plain newlines."""
        with self.fresh:
            raw = bytes(self.data)
        return raw.decode("utf-8", "replace").replace("\r\n", "\n")

    def tail(self, lines=40):
        """The last output, for a report."""
        text = "\n".join(self.text().splitlines()[-lines:])
        return text + (f"\n[QEMU] {self.complaint()}" if self.complaint() else "")

    def complaint(self):
        """What came on QEMU's standard error: its own messages, and the guest's semihosting."""
        if not self.stderr.closed:
            self.stderr.seek(0)
            self._complaint = self.stderr.read().decode("utf-8", "replace").strip()
        return self._complaint

    def send(self, text):
        """Type `text` on the serial line."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def expect(self, pattern, timeout=20):
        """Wait for a regular expression after the last match; returns the match."""
        wanted = re.compile(pattern.encode(), re.MULTILINE)
        deadline = time.monotonic() + timeout
        with self.fresh:
            while True:
                match = wanted.search(self.data, self.seen)
                if match:
                    self.seen = match.end()
                    return match
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and
                                 not self.reader.is_alive()):
                    why = f"not within {timeout} s" if left <= 0 else "QEMU ended first"
                    raise HelixError(f"expected {pattern!r} on the serial line: {why}")
                self.fresh.wait(min(left, 0.2))

    def wait(self, timeout):
        """Wait for the end. Returns QEMU's exit status; kills the guest on timeout."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.timed_out = True
            self.process.kill()
            self.process.wait()
        self.reader.join()
        return self.process.returncode

    def exit_code(self):
        """What the guest wrote to its exit device; None when it powered off or was killed.

        isa-debug-exit makes (code << 1) | 1 of it. On aarch64 a power-off also reads as 0.
        """
        status = self.process.returncode
        if self.timed_out or status is None or status < 0:
            return None
        if self.machine.arch == "x86_64":
            return status >> 1 if status & 1 else None
        return status


def quote(command):
    """COMMAND LINE as the kernel's exec="..." word."""
    return 'exec="' + command.replace("\\", "\\\\").replace('"', '\\"') + '"'


class ExecOutput:
    """Separates what the command printed from the rest of the serial line, as it arrives.

    A report of a panic is held back until the end: only then is it told from a program that
    prints the same words.
    """

    HOLD = 64   # longer than any mark

    def __init__(self, nonce):
        self._begin = re.compile(b"@helix %s begin\r?\n" % nonce.encode())
        self._mark = b"@helix %s end " % nonce.encode()
        self._half_end = re.compile(self._mark + b"\\d*\r?")
        self._end = re.compile(self._mark + b"(\\d+)\r?\n")
        self._raw = b"\n"       # what was not passed on yet
        self._skip = 0          # bytes at its start that are there only to be looked at
        self._inside = False
        self.status = None
        self.panic = b""

    def feed(self, chunk):
        """Take bytes from the line; return those that the command printed, newlines plain."""
        if self.status is not None:
            return b""
        self._raw += chunk
        if not self._inside:
            match = self._begin.search(self._raw)
            if not match:
                self._find_panic()
                return b""
            # The newline that ends the mark stays, so that a panic's line is seen to begin.
            self._inside, self._raw = True, self._raw[match.end() - 1:]
            self._skip = 1
        match = self._end.search(self._raw)
        if match:
            self.status, self.panic = int(match[1]), b""
            return self._pass(match.start())
        at = self._find_panic()
        if at >= 0:
            ready = self._pass(at + 1)
            self._raw, self._skip = b"\n" + self._raw, 1
            return ready
        return self._pass(self._undecided())

    def rest(self):
        """What was held back when the line went silent without an end."""
        if self.panic or not self._inside or self.status is not None:
            return b""
        return self._pass(len(self._raw))

    def _find_panic(self):
        """Where a line that begins like a panic's begins, its newline included; or -1."""
        at = self._raw.find(b"\n" + PANIC_MARK)
        if at >= 0:
            self.panic = self._raw[at + 1:]
        return at

    def _undecided(self):
        """Where the end begins that more bytes could turn into a mark, or into a newline."""
        for at in range(max(0, len(self._raw) - self.HOLD), len(self._raw)):
            tail = self._raw[at:]
            if any(mark.startswith(tail) for mark in
                   (b"\n" + PANIC_MARK, b"\r\n" + PANIC_MARK, self._mark)) or \
                    self._half_end.fullmatch(tail):
                return at
        return len(self._raw)

    def _pass(self, count):
        skip = min(self._skip, count)
        ready, self._raw = self._raw[skip:count], self._raw[count:]
        self._skip -= skip
        return ready.replace(b"\r\n", b"\n")


class ExecResult:
    """status as `./helix exec` exits with it; output and panic as text; log: the whole line."""

    def __init__(self, status, output, panic, log, reason=""):
        self.status, self.output, self.panic, self.log = status, output, panic, log
        self.reason = reason


def run_command(machine, command, timeout, sink=None, nonce=None):
    """Boot `machine`, run `command` in its shell, return an ExecResult.

    `sink` is called with the bytes that the command prints, as they come. A fixed `nonce` makes
    runs alike to the last instruction, where that matters more than forgery.
    """
    if any(c in command for c in "\n\0"):
        raise HelixError("exec: a command line is one line")
    nonce = nonce or secrets.token_hex(8)
    words = f"exit=qemu nonce={nonce} {quote(command)}"
    machine.cmdline = f"{machine.cmdline} {words}".strip()
    output, printed, position = ExecOutput(nonce), bytearray(), 0
    deadline = time.monotonic() + timeout

    def take(data):
        printed.extend(data)
        if sink and data:
            sink(data)

    with Guest(machine) as guest:
        while True:
            with guest.fresh:
                if len(guest.data) == position and guest.reader.is_alive():
                    guest.fresh.wait(0.1)
                chunk = bytes(guest.data[position:])
                position += len(chunk)
            take(output.feed(chunk))
            if not chunk and not guest.reader.is_alive():
                break
            if time.monotonic() > deadline:
                guest.timed_out = True
                break
        if not guest.timed_out:
            guest.wait(max(1.0, deadline - time.monotonic()))
        if guest.timed_out:
            take(output.rest())
    code, text = guest.exit_code(), bytes(printed).decode("utf-8", "replace")
    panic = output.panic.decode("utf-8", "replace").replace("\r\n", "\n")
    if guest.timed_out:
        return ExecResult(TIMEOUT, text, panic, guest.tail(), f"no end within {timeout} s")
    if code == PANIC and output.status is None:
        return ExecResult(PANIC, text, panic or guest.tail(), guest.tail(), "the kernel panicked")
    if output.status is None or code != 0:
        take(output.rest())
        why = ("QEMU ended" if guest.process.returncode >= 0 else "QEMU was killed") + \
            f" with status {guest.process.returncode} before the command did"
        return ExecResult(1, text, panic, guest.tail(), why)
    return ExecResult(output.status, text, "", guest.tail())


class Qmp:
    """QEMU's machine protocol, as far as tests drive it: keys and screenshots."""

    def __init__(self, path, timeout=10):
        deadline = time.monotonic() + timeout
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(path)
                break
            except OSError:
                self._socket.close()
                if time.monotonic() > deadline:
                    raise HelixError(f"QEMU opened no QMP socket at {path}") from None
                time.sleep(0.05)
        self._socket.settimeout(timeout)
        self._lines = self._socket.makefile("rb")
        json.loads(self._lines.readline())
        self.call("qmp_capabilities")

    def call(self, name, **arguments):
        """Execute a command; events in between are dropped."""
        request = {"execute": name, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = json.loads(self._lines.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise HelixError(f"QMP {name}: {answer['error'].get('desc')}")

    def key(self, *names):
        """Press keys together, such as key("shift", "a")."""
        self.call("send-key", keys=[{"type": "qcode", "data": name} for name in names])
        time.sleep(0.15)    # QEMU holds a key for 100 ms and drops what comes meanwhile

    def screen(self, path):
        """Save the screen as PPM; returns (width, height, RGB bytes)."""
        self.call("screendump", filename=path)
        with open(path, "rb") as file:
            data = file.read()
        match = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
        return int(match[1]), int(match[2]), data[match.end():]

    def close(self):
        self._lines.close()
        self._socket.close()
