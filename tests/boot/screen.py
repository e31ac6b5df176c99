# SPDX-License-Identifier: MIT
"""The framebuffer and the keyboard of x86_64, driven by QEMU's machine protocol."""
import time

from hosttools.suites import each

KEYS = {" ": "spc", ".": "dot", "-": "minus", "\n": "ret"}


def type_keys(qmp, text):
    for c in text:
        if c.isupper():
            qmp.key("shift", c.lower())
        elif c == "_":
            qmp.key("shift", "minus")
        else:
            qmp.key(KEYS.get(c, c))


@each({"board": "pc", "firmware": "bios"}, {"board": "q35", "firmware": "uefi"})
def test_keyboard_and_screen(t, board, firmware):
    guest = t.boot(arch="x86_64", board=board, firmware=firmware, vga="std", qmp=f"{t.tmp}/qmp")
    guest.expect("helix> ", 40)
    qmp = t.qmp(f"{t.tmp}/qmp")
    width, height, before = qmp.screen(f"{t.tmp}/a.ppm")
    assert width >= 640 and height >= 400, (width, height)
    colours = {before[i:i + 3] for i in range(0, len(before), 3)}
    assert 2 <= len(colours), "a blank screen"
    type_keys(qmp, "echo Hello_42\n")
    guest.expect(r"^Hello_42\r?$")      # the line that ran came from the keyboard
    guest.expect("helix> ")
    time.sleep(0.3)
    _width, _height, after = qmp.screen(f"{t.tmp}/b.ppm")
    assert after != before, "what was typed is not on the screen"
    qmp.close()
