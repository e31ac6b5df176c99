# SPDX-License-Identifier: MIT
"""What an fsync costs the disk: bytes and flushes per operation of HelixFS through FUSE, of ext4 and
of btrfs, each on a loop device over an image of the same size, in one run. The counters are those
that the block layer keeps for the device; they hold for all three what reached it, up to the
end of the unmount."""
import os
import random
import subprocess
import time

SUITE = "fs"
IMAGE_MIB, BIG_MIB, REPEAT = 512, 64, 200
# name: bytes and flushes that HelixFS may take for it.
LIMITS = {"create 1 KiB + fsync": (8192, 1), "4 KiB overwrite + fsync": (12288, 1),
          "100 B append + fsync": (6144, 1), "write, rename, sync": (16384, 2)}


class Loop:
    """A loop device over a new image with a file system."""

    def __init__(self, t, kind):
        self.t, self.kind = t, kind
        self.image, self.dir = f"{t.tmp}/{kind}.img", f"{t.tmp}/{kind}"
        self.server = None
        os.makedirs(self.dir)
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_MIB << 20)
        done = t.run("losetup", "--find", "--show", self.image)
        if done.returncode:
            t.skip(f"this machine has no loop devices: {done.stderr.strip()}")
        self.device = done.stdout.strip()

        self.tool = f"build/host/{t.variant}/bin"
        t.tool(*([f"{self.tool}/mkfs.helixfs"] if kind == "helixfs" else [f"mkfs.{kind}", "-q"]),
               self.device)

    def __enter__(self):
        return self

    def mount(self):
        if self.kind == "helixfs":
            # pylint: disable=consider-using-with
            self.server = subprocess.Popen([f"{self.tool}/helixfs-fuse", "--foreground",
                                            self.device, self.dir])
            for _ in range(200):
                if os.path.ismount(self.dir):
                    break
                time.sleep(0.05)
            assert os.path.ismount(self.dir), "helixfs-fuse does not mount"
            return
        done = self.t.run("mount", "-t", self.kind, self.device, self.dir)
        if done.returncode:
            self.t.skip(f"this machine cannot mount {self.kind}: {done.stderr.strip()}")

    def unmount(self):
        self.t.tool("umount", self.dir)
        if self.server:
            assert self.server.wait(30) == 0
            self.server = None

    def __exit__(self, *_):
        if os.path.ismount(self.dir):
            self.t.run("umount", "--lazy", self.dir)
        if self.server:
            self.server.kill()
            self.server.wait()
        self.t.run("losetup", "--detach", self.device)

    def counters(self):
        """Bytes written and flushes done, of /sys/block/DEVICE/stat."""
        with open(f"/sys/block/{os.path.basename(self.device)}/stat", encoding="ascii") as file:
            fields = file.read().split()
        return int(fields[6]) * 512, int(fields[15])


def put(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)


def create(top, _big, number, noise):
    put(f"{top}/file{number}", noise[:1024])


def overwrite(_top, big, _number, noise):
    os.pwrite(big, noise, random.randrange(BIG_MIB << 8) << 12)
    os.fsync(big)


def append(top, _big, _number, noise):
    fd = os.open(f"{top}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, noise[:100])
    os.fsync(fd)
    os.close(fd)


def replace(top, _big, _number, noise):
    put(f"{top}/new", noise[:1024])
    os.rename(f"{top}/new", f"{top}/settled")
    fd = os.open(top, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


WORK = dict(zip(LIMITS, (create, overwrite, append, replace)))


def measure(loop):
    """{operation: (bytes, flushes)}, means. Each counts up to the end of the unmount: what a file
    system has put off is part of its price."""
    found = {}
    random.seed(1)
    for name, work in WORK.items():
        loop.mount()
        big = os.open(f"{loop.dir}/big", os.O_RDWR | os.O_CREAT, 0o644)
        for at in range(BIG_MIB if os.fstat(big).st_size == 0 else 0):
            os.pwrite(big, os.urandom(1 << 20), at << 20)
        os.close(big)
        loop.unmount()
        loop.mount()
        big = os.open(f"{loop.dir}/big", os.O_RDWR)
        written, flushes = loop.counters()
        for number in range(REPEAT):
            work(loop.dir, big, number, os.urandom(4096))
        os.close(big)
        loop.unmount()
        more, later = loop.counters()
        found[name] = (more - written) / REPEAT, (later - flushes) / REPEAT
    return found


def test_bytes_and_flushes_beside_ext4_and_btrfs(t):
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        t.skip("needs root and /dev/fuse")
    t.build("host")
    table = {}
    for kind in ("helixfs", "ext4", "btrfs"):
        with Loop(t, kind) as loop:
            table[kind] = measure(loop)
    lines = [f"{'bytes and flushes for each':26}" + "".join(f"{kind:>18}" for kind in table)]
    for name in LIMITS:
        lines.append(f"{name:26}" + "".join(f"{table[kind][name][0]:11.0f} {table[kind][name][1]:6.2f}"
                                            for kind in table))
    print("\n".join(lines))
    for name, (most, flushes) in LIMITS.items():
        took = table["helixfs"][name]
        # The unmount's commits, spread over the operations, are the hundredths.
        assert took[0] <= most and took[1] <= flushes + 0.03, f"{name}: {took}\n" + "\n".join(lines)
        for other in ("ext4", "btrfs"):
            assert took[1] > 0 and table[other][name][1] > 0, "\n".join(lines)
