# SPDX-License-Identifier: MIT
"""SCons tool: what a build did and how long each step of it took.

Every command runs through a timer that charges it to a pipeline step. When SCons ends, the steps
are appended to build/logs/build_YYYYMMDD.log, one line each; a step with nothing to do says so.
Times are busy times: two commands that ran side by side count twice.

Also here, because every build needs them before anything else: the output folder, the lock that
keeps two builds out of one folder, and the hand-over of `scons run` to the front door.
"""
import atexit
import fcntl
import os
import sys
import threading
import time

from hosttools.errors import HelixError
from SCons.Script import (Action, COMMAND_LINE_TARGETS, GetBuildFailures, GetOption,
                          SConsignFile, SetOption)

STEPS = ("prepare", "boot", "core", "hal", "modules", "fs", "subsystems", "tests", "profile",
         "link", "iso", "verify", "symbols")
TITLES = {"hal": "HAL", "iso": "ISO"}


class BuildLog:
    """Seconds and commands per step, written when the process ends."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, time.strftime("build_%Y%m%d.log"))
        self.name = name
        self.started = time.time()
        self.spent = {}
        self.lock = threading.Lock()

    def add(self, step, seconds):
        with self.lock:
            commands, total = self.spent.get(step, (0, 0.0))
            self.spent[step] = (commands + 1, total + seconds)

    def timed(self, step, function):
        """The same function, its time charged to `step`."""
        def run(*args, **keywords):
            begin = time.monotonic()
            try:
                return function(*args, **keywords)
            finally:
                self.add(step, time.monotonic() - begin)
        run.__name__ = getattr(function, "__name__", "action")
        return run

    def write(self):
        lines = []
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        for step in STEPS:
            commands, seconds = self.spent.get(step, (0, 0.0))
            what = f"{commands} commands" if commands else "up to date"
            lines.append((TITLES.get(step, step), what, seconds))
        failed = len(GetBuildFailures())
        lines.append(("total", f"{failed} failed" if failed else "ok", time.time() - self.started))
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        text = "".join(f"{stamp} {self.name:<16} {step:<10} {what:<14} {seconds:8.2f} s\n"
                       for step, what, seconds in lines)
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(text)


def command_action(env, command, comment):
    """An action that runs a command line and shows `comment`, or the line when verbose."""
    return Action(command) if env["verbose"] else Action(command, comment)


def step_action(step, function, comment):
    """An action that runs function(target, source, env), timed; its errors are one line each.

    SCons rebuilds when an action's code changes and looks into closures for that, so this one
    holds on to nothing but its arguments.
    """
    def run(target, source, env):
        try:
            env["BUILDLOG"].timed(step, function)(target, source, env)
        except (HelixError, ValueError) as error:
            detail = getattr(error, "detail", "")
            print(f"{detail}\nerror: {error}" if detail else f"error: {error}", file=sys.stderr)
            return 1
        return 0
    return Action(run, comment)


def front_door(env, *verbs):
    """`scons run` and `scons test` are `./helix run` and `./helix test`: replace this process."""
    for verb in verbs:
        if verb in COMMAND_LINE_TARGETS and not GetOption("help"):
            line = ["./helix", verb, "--arch", env["arch"], "--variant", env["variant"],
                    "--profile", env["profile"]]
            line += ["--board", env["board"]] if env["board"] else []
            os.execv("./helix", line)


def generate(env):
    name = f"{env['arch']}/{env['variant']}"
    out = f"build/{name}"
    env["TOP"] = env.Dir("#").abspath
    env["OUT"] = "#" + out
    env["BUILDLOG"] = log = BuildLog("build/logs", name)
    env.AddMethod(front_door, "FrontDoor")
    env.AddMethod(lambda e, step: setstep(e, step), "ForStep")
    # A compiler reads no locale, and nothing of the caller's environment but where programs are.
    env["ENV"] = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
                  "HOME": os.environ.get("HOME", "/"), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
    env["PLAIN_SPAWN"] = env["SPAWN"]
    setstep(env, "prepare")
    # SCons' defaults decide by content. By time stamps of whole seconds an edit right after a build
    # goes unseen, and a cache of includes misses a new header: both cost more than they save.
    SetOption("num_jobs", GetOption("num_jobs") if GetOption("num_jobs") > 1 else os.cpu_count())
    if GetOption("help") or GetOption("no_exec"):
        return
    os.makedirs(out, exist_ok=True)
    SConsignFile(os.path.abspath(f"{out}/.sconsign"))
    # Held until this process ends. Open files do not survive exec, so `run` is not held up.
    env["LOCK"] = lock = open(f"{out}/.lock", "w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not GetOption("clean") and not set(COMMAND_LINE_TARGETS) & {"run", "test"}:
        atexit.register(log.write)


def setstep(env, step):
    """Charge the commands of `env` to `step`."""
    env["SPAWN"] = env["BUILDLOG"].timed(step, env["PLAIN_SPAWN"])
    env["STEP"] = step
    return env


def exists(_env):
    return True
