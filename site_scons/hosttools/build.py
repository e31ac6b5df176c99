# SPDX-License-Identifier: MIT
"""Calls SCons for the front door: quiet when it works, complete when it does not."""
import subprocess
import sys
import threading

from .errors import HelixError

SCONS = "/usr/bin/scons"


def scons(arch, variant, profile, targets, verbose=False, show=False, cwd=None):
    """Build `targets` ([] means the default). Output is shown live, or only with a failure."""
    command = [SCONS, "-Q", f"arch={arch}", f"variant={variant}", f"profile={profile}", *targets]
    if verbose:
        command.append("verbose=1")
    try:
        if show or verbose:
            sys.stdout.flush()
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr,
                                    check=False, cwd=cwd).returncode
            detail = ""
        else:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False, cwd=cwd)
            status, detail = done.returncode, "\n".join(done.stdout.splitlines()[-60:])
    except FileNotFoundError:
        raise HelixError(f"{SCONS} is missing; run ./helix doctor") from None
    if status != 0:
        errors = [line for line in detail.splitlines() if line.startswith("error: ")]
        what = errors[0][7:] if errors else "see what the compiler said above"
        raise HelixError(f"the build of {arch}/{variant} failed: {what}",
                         "" if errors else detail)


class Builds:
    """Builds asked for by several tests at once: each is made one time, the others wait for it."""

    def __init__(self, profile, verbose=False):
        self._profile, self._verbose = profile, verbose
        self._lock = threading.Lock()
        self._made = {}

    def need(self, arch, variant, targets):
        key = (arch, variant)
        with self._lock:
            mine, done = self._made.setdefault(key, (threading.Lock(), {}))
        with mine:
            for target in [t for t in targets or [""] if t not in done]:
                try:
                    scons(arch, variant, self._profile, [target] if target else [], self._verbose)
                    done[target] = None
                except HelixError as error:
                    done[target] = error
            for target in targets or [""]:
                if done[target]:
                    raise done[target]
