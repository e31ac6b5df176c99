# SPDX-License-Identifier: MIT
"""Booting while memory ends: the n-th allocation from the platform's start on and all after it fail,
until every component has been tried. A vital component that does not get what it needs ends the boot
in a panic that names it and says why. Without the files, or the programs among them, nothing is left
to run what the host asked for: the machine says so and ends. Without any other it works."""
import re

from hosttools.suites import each

ARCHES = ("x86_64", "aarch64")
NOT_RUN = 127
STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 48, 55, 89, 144, 266, 100000)
WORDS = 'exit=qemu nonce=0123456789abcdef exec="echo alive; run true && echo well"'


def boot(t, arch, kind, n):
    """What became of the boot: the vital component that it ended with; "init" when there was nothing
    to start; "" when the host's line ran but something was refused; None when nothing was. Anything
    else fails."""
    guest = t.boot(arch=arch, cmdline=f"{WORDS} {kind}fail={n}")
    guest.wait(20)
    assert not guest.timed_out, (n, "no end", guest.text())
    text = guest.text().replace("\r", "")
    ended = re.search(r"^PANIC: ([\w-]+) did not start$", text, re.MULTILINE)
    if ended:
        assert re.search(rf"init: error: {ended[1]}: out of memory$", text, re.MULTILINE), (n, text)
        return ended[1]
    assert "PANIC" not in text, (n, text)
    if re.search(r"init: error: nothing is left to run what the host asked for$", text,
                 re.MULTILINE):
        assert guest.exit_code() == NOT_RUN, (n, guest.exit_code(), text)
        assert re.search(r"init: error: init: ", text) and "out of memory" in text, (n, text)
        return "init"
    assert guest.exit_code() == 0, (n, guest.exit_code(), text)
    assert re.search(r"^alive$", text, re.MULTILINE), (n, text)
    if "out of memory" in text:
        return ""
    assert re.search(r"^well$", text, re.MULTILINE), (n, text)
    return None


@each(**{f"{kind}-{arch}": {"arch": arch, "kind": kind}
         for kind in ("heap", "frame") for arch in ARCHES})
def test_a_boot_without_memory_says_what_failed(t, arch, kind):
    ends = [boot(t, arch, kind, n) for n in STEPS]
    assert ends[0], "the first failure had no effect"
    assert ends[-1] is None, "a failure that never comes had one"
