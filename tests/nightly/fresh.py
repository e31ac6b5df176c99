# SPDX-License-Identifier: MIT
"""From nothing to green: a Debian 12 with git and ca-certificates only, and one command."""
import os
import re
import shutil
import subprocess

from hosttools.suites import load

tree = load("tests/build/copy.py")
# Mounts vanish with their namespace, whatever happens inside.
SCRIPT = """
mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" || exit 77
exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root /root/helix/.ci/run
"""


def test_a_minimal_debian_becomes_green(t):
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        t.skip("needs root and debootstrap")
    root = f"{t.tmp}/root"
    done = t.run("debootstrap", "--variant=minbase", "--include=git,ca-certificates", "bookworm",
                 root, timeout=1200)
    if done.returncode != 0:
        t.skip(f"debootstrap failed: {done.stdout.splitlines()[-1:]}")
    tree.copy_tree(f"{root}/root/helix", "same")
    shutil.rmtree(f"{root}/root/helix/build", ignore_errors=True)
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT,
                           root], text=True, capture_output=True, check=False, timeout=3600,
                          stdin=subprocess.DEVNULL)
    if done.returncode == 77:
        t.skip("this machine does not allow mounts")
    assert done.returncode == 0, done.stdout[-6000:] or done.stderr[-3000:]
    assert re.search(r"^\d+ passed, 0 failed", done.stdout.splitlines()[-1]), done.stdout[-500:]
