# SPDX-License-Identifier: MIT
"""HelixFS in the running system: what the guest writes, the host finds, and the other way round; a
module that faults; the power cut under load."""
import hashlib
import os
import random
import re
import subprocess

from hosttools.suites import arches

KEPT, LINE, LINES_MAX = 40, 16, 1500    # of user/programs/fsload.c
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}


def tool(t, name, *args):
    """A host tool that must succeed; what it printed, as bytes."""
    t.build("host")
    done = subprocess.run([f"build/host/{t.variant}/bin/{name}", *args], capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 0, f"{name} {args}: {done.stdout[-800:]}{done.stderr}"
    return done.stdout


def image(t, *options, size="64M", name="disk.img"):
    path = f"{t.tmp}/{name}"
    tool(t, "mkfs.helixfs", "--size", size, *options, path)
    return path


def sound(t, path, *options):
    """The host's proof checker has nothing to say, contents included."""
    tool(t, "fsck.helixfs", "--data", *options, path)


def lines(t, arch, command, *disks):
    result = t.exec(command, arch=arch, disks=list(disks))
    assert result.status == 0, result.output + result.reason + result.log[-2000:]
    return result.output.splitlines()


@arches
def test_the_host_finds_what_the_guest_wrote(t, arch):
    path = image(t)
    digest = lines(t, arch, "mkdir /data/d && cp /bin/shell /data/d/shell && echo hello >/data/x "
                   "&& ln -s x /data/l && ln /data/x /data/d/y && xattr set /data/x user.k v && "
                   "sha256sum /bin/shell", path)[-1].split()[0]
    sound(t, path)
    found = tool(t, "helixfs-inspect", path, "cat", "/d/shell")
    assert hashlib.sha256(found).hexdigest() == digest
    assert tool(t, "helixfs-inspect", path, "cat", "/d/y") == b"hello\n"
    names = tool(t, "helixfs-inspect", path, "ls", "/").decode()
    assert all(re.search(rf"\b{name}\b", names) for name in "dlx"), names


@arches
def test_the_guest_finds_what_another_machine_wrote(t, arch):
    """The same image on the other processor, changed there and by the host between."""
    path = image(t)
    written = lines(t, OTHER[arch], "cp /bin/shell /data/shell && cp /bin/init /data/gone && "
                    "sha256sum /data/shell", path)[-1]
    tool(t, "helixfs-inspect", path, "snapshot", "before")
    seen = lines(t, arch, "sha256sum /data/shell && rm /data/gone && ls /data", path)
    assert seen == [written, "shell"], seen
    sound(t, path)
    assert tool(t, "helixfs-inspect", "--subvolume", "before", path, "cat", "/gone")


@arches
def test_made_in_the_guest(t, arch):
    path = f"{t.tmp}/empty.img"
    with open(path, "wb") as file:
        file.truncate(64 << 20)
    seen = lines(t, arch, "mkfs helixfs vda && mount helixfs /data vda && echo here >/data/x && "
                 "umount /data && mount -r helixfs /data vda && cat /data/x && mount && "
                 "echo no >/data/x || umount /data && unload helixfs && echo all gone", path)
    assert seen[0] == "here" and "helixfs on /data (ro)" in seen and seen[-1] == "all gone", seen
    sound(t, path)


@arches
def test_refusals(t, arch):
    path = image(t, name="a.img")
    blank = f"{t.tmp}/blank.img"
    with open(blank, "wb") as file:
        file.truncate(8 << 20)
    for command, why in (("mount helixfs /tmp vda", "in use"), ("mkfs helixfs vda", "in use"),
                         ("mount helixfs /tmp nosuch", "no such"), ("unload helixfs", "in use"),
                         ("mount helixfs /tmp", "cannot do that"), ("mkfs nosuchfs vdb", "no such"),
                         ("mount helixfs /tmp vdb", "")):
        result = t.exec(f"mkdir /tmp; {command}", arch=arch, disks=[path, blank])
        assert result.status == 1 and why in result.output, (command, result.output)
    sound(t, path)


@arches
def test_encrypted(t, arch):
    right, wrong = "0123456789abcdef0123456789abcde", "0" * 31  # and a newline: 32 bytes, a key
    key = f"{t.tmp}/key"
    with open(key, "w", encoding="ascii") as file:
        file.write(right + "\n")
    path = image(t, "--key-file", key)
    result = t.exec(f"mkdir /m; echo {wrong} >/no; echo {right} >/key; "
                    "mount helixfs /m vda /no || mount helixfs /m vda /key && "
                    "cp /bin/shell /m/s && umount /m && mount helixfs /m vda /key && "
                    "sha256sum /m/s /bin/shell", arch=arch, disks=[path])
    digests = [line.split()[0] for line in result.output.splitlines()[-2:]]
    assert result.status == 0 and len(set(digests)) == 1, result.output
    assert result.output.startswith("mount: /m: "), result.output # the wrong key
    sound(t, path, "--key-file", key)


@arches
def test_a_fault_ends_the_mount_and_not_the_system(t, arch):
    """What was acknowledged is there again after a mount by a fresh module."""
    path = image(t)
    seen = lines(t, arch, "echo kept >/data/x && sync && inject helixfs null; cat /data/x; "
                 "ls /data; echo alive; umount /data; unload helixfs && load helixfs && "
                 "mount helixfs /data vda && cat /data/x", path)
    assert "alive" in seen and seen[-1] == "kept", seen
    sound(t, path)


def content(step, seed):
    word = ((seed + step) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    count = (word >> 40) % LINES_MAX + 1
    return b"".join(b"%7u,%7u\n" % (step, line) for line in range(count))


def power_cut(t, arch, seed):
    """Kills the machine at some moment of fsload; the image is sound and remembers every step."""
    moment = random.Random(seed)
    path = image(t, size="32M", name=f"cut{seed}.img")
    with t.boot(arch=arch, disks=[path]) as guest:
        guest.expect(r"helix> ", timeout=60)
        guest.send(f"fsload /data {seed}\n")
        guest.expect(rf"\n{moment.randrange(1, 60)}\r?\n", timeout=60)
        guest.wait(moment.random() * 0.05) # and then it is killed
        said = [int(step) for step in re.findall(r"\n(\d+)\r?(?=\n)", guest.text())]
    last = said[-1]
    sound(t, path)
    tree = tool(t, "helixfs-inspect", path, "ls", "/").decode()
    for step in range(max(1, last - KEPT + 2), last + 1):
        assert re.search(rf"\bf{step}\b", tree), f"seed {seed}: step {step} of {last} is gone"
        found = tool(t, "helixfs-inspect", path, "cat", f"/f{step}")
        assert found == content(step, seed), f"seed {seed}: step {step} of {last} is not whole"
    if last >= 3:
        newest = tool(t, "helixfs-inspect", path, "cat", "/newest")
        step = int(newest[:7])
        assert newest == content(step, seed) and step >= last // 3 * 3 - 3, (seed, step, last)
    os.unlink(path)
    return last


@arches
def test_old_writes_are_durable(t, arch):
    """Nobody syncs and nobody comes back: what is written is on the disk 10 s later."""
    path = image(t)
    with t.boot(arch=arch, disks=[path]) as guest:
        guest.expect(r"helix> ", timeout=60)
        guest.send("echo kept >/data/x\n")
        guest.expect(r"helix> ", timeout=60)
        guest.wait(13)  # and then it is killed
    sound(t, path)
    assert tool(t, "helixfs-inspect", path, "cat", "/x") == b"kept\n"


@arches
def test_power_cuts(t, arch):
    for seed in range(3):
        power_cut(t, arch, seed)
