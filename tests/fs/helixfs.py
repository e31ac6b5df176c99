# SPDX-License-Identifier: MIT
"""HelixFS on the host: its C tests, its tools, the reader written from SPEC.md, and what POSIX asks of
the FUSE mount. Programs come from tools/helixfs/SConscript."""
import errno
import os
import re
import subprocess
import time

SUITE = "fs"


def program(t, name, *args, kind="checked", timeout=280):
    """One test program; its last line."""
    t.build("host")
    done = subprocess.run([f"build/host/{t.variant}/tests/fs-{kind}/{name}", *map(str, args)],
                          text=True, capture_output=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-2000:]}" \
                                 f"{done.stderr[-4000:]}"
    return done.stdout.strip().splitlines()[-1]


def tool(t, name, *args):
    """One tool; what it printed."""
    t.build("host")
    done = subprocess.run([f"build/host/{t.variant}/bin/{name}", *args], text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"{name} exits with {done.returncode}: {done.stderr}"
    return done.stdout


def test_units(t):
    program(t, "helixfs_test")


def test_operations_agree_with_the_model(t):
    assert " 0 failed" in program(t, "opfuzz", "--seeds", 60)


def test_power_cuts(t):
    last = program(t, "crash", "--states", 50000, kind="fast")
    assert int(re.search(r"(\d+) states", last)[1]) >= 50000 and " 0 failed" in last, last


def test_power_cuts_under_sanitizers(t):
    assert " 0 failed" in program(t, "crash", "--states", 3000, "--seed", 5000)


def test_damaged_images(t):
    assert " 0 unnoticed" in program(t, "imagefuzz", "--seconds", 20)


def flips(t, stride, kind, timeout=280):
    last = program(t, "flips", "--ops", stride, kind=kind, timeout=timeout)
    assert " 0 unnoticed" in last and last.endswith(" 0 wrong answers"), last
    return last


def test_flipped_bits_are_noticed(t):
    flips(t, 97, "fast")


def test_flipped_bits_are_noticed_under_sanitizers(t):
    flips(t, 1511, "checked")


def test_tools_refuse_what_is_no_image(t):
    t.build("host")
    path = f"{t.tmp}/noise"
    with open(path, "wb") as file:
        file.write(os.urandom(5 << 20))
    for name, status in (("fsck.helixfs", 8), ("helixfs-inspect", 1)):
        args = [path, "info"] if "inspect" in name else [path]
        done = subprocess.run([f"build/host/{t.variant}/bin/{name}", *args], text=True,
                              capture_output=True, timeout=20, check=False)
        assert done.returncode == status and "no HelixFS" in done.stderr, done


class Mount:
    """An image mounted through FUSE for the length of a with statement."""

    def __init__(self, t, *mkfs):
        if not os.path.exists("/dev/fuse") or os.geteuid() != 0:
            t.skip("needs /dev/fuse and root")
        self.t, self.image, self.dir = t, f"{t.tmp}/image", f"{t.tmp}/mount"
        os.makedirs(self.dir)
        tool(t, "mkfs.helixfs", "--size", "64M", *mkfs, self.image)

    def __enter__(self):
        t = self.t
        # pylint: disable=consider-using-with
        self.server = subprocess.Popen([f"build/host/{t.variant}/bin/helixfs-fuse", "--foreground",
                                        self.image, self.dir], stderr=subprocess.PIPE, text=True)
        for _ in range(100):
            if os.path.ismount(self.dir):
                return self.dir
            time.sleep(0.05)
        self.server.kill()
        self.t.skip(f"this machine cannot mount: {self.server.stderr.read()}")
        return None

    def __exit__(self, failure, *_):
        if failure is not None: # what the test left open must not keep the mount, or hide why
            subprocess.run(["fusermount3", "-uz", self.dir], check=False)
            self.server.kill()
            self.server.wait()
            return
        subprocess.run(["fusermount3", "-u", self.dir], check=True)
        status = self.server.wait(30)
        assert status == 0, f"helixfs-fuse exits with {status}: {self.server.stderr.read()}"
        tool(self.t, "fsck.helixfs", "--data", self.image)


def test_reader_agrees(t):
    for number, alg in enumerate(("none", "lz4", "zstd:3")):
        mount = Mount(t, "--compress", alg) if number == 0 else None
        if mount is None:
            os.rmdir(f"{t.tmp}/mount")
            os.remove(f"{t.tmp}/image")
            mount = Mount(t, "--compress", alg)
        with mount as top:
            subprocess.run(["cp", "-r", "fs", "tests", top], check=True)
            os.link(f"{top}/fs/SPEC.md", f"{top}/hard")
            os.symlink("fs/SPEC.md", f"{top}/soft")
            os.truncate(f"{top}/hard", 300000)
        inspected = tool(t, "helixfs-inspect", "--json", mount.image, "tree")
        read = subprocess.run(["python3", "tests/fs/reader.py", mount.image], text=True, check=True,
                              capture_output=True).stdout
        assert len(read) > 5000
        assert sorted(inspected.splitlines()) == sorted(read.splitlines()), alg


def expect(error, call, *args, **keywords):
    try:
        call(*args, **keywords)
    except OSError as caught:
        assert caught.errno == error, f"{errno.errorcode[caught.errno]}, " \
                                      f"expected {errno.errorcode[error]}"
        return
    raise AssertionError(f"no error, expected {errno.errorcode[error]}")


def put(path, data=b"x"):
    with open(path, "wb") as file:
        file.write(data)


def test_posix_names(t):
    with Mount(t) as top:
        put(f"{top}/file")
        os.mkdir(f"{top}/dir")
        put(f"{top}/dir/in")
        put(f"{top}/{'n' * 255}")
        expect(errno.ENAMETOOLONG, put, f"{top}/{'n' * 256}")
        expect(errno.EEXIST, os.mkdir, f"{top}/dir")
        expect(errno.ENOTEMPTY, os.rmdir, f"{top}/dir")
        expect(errno.ENOTDIR, os.rmdir, f"{top}/file")
        expect(errno.EISDIR, os.unlink, f"{top}/dir")
        expect(errno.ENOENT, os.unlink, f"{top}/none")
        expect(errno.ENOTDIR, put, f"{top}/file/under")
        expect(errno.EXDEV, os.rename, f"{top}/file", f"{t.tmp}/outside")
        expect(errno.EXDEV, os.link, f"{top}/file", f"{t.tmp}/outside")
        expect(errno.EPERM, os.link, f"{top}/dir", f"{top}/dir2")
        expect(errno.EINVAL, os.rename, f"{top}/dir", f"{top}/dir/sub")
        expect(errno.ENOTDIR, os.rename, f"{top}/dir", f"{top}/file")
        expect(errno.EISDIR, os.rename, f"{top}/file", f"{top}/dir")
        os.symlink("loop", f"{top}/loop")
        expect(errno.ELOOP, open, f"{top}/loop", "rb")
        deep, at = [], os.open(top, os.O_RDONLY)
        for _ in range(40): # more than 4,095 bytes in all, one step at a time
            name = "d" * 110
            os.mkdir(name, dir_fd=at)
            below = os.open(name, os.O_RDONLY, dir_fd=at)
            deep.append(at)
            at = below
        os.close(at)
        for fd in deep:
            os.close(fd)
        expect(errno.ENAMETOOLONG, os.stat, top + ("/" + "d" * 110) * 40)
        assert sorted(os.listdir(f"{top}/dir")) == ["in"]


def test_posix_links_and_times(t):
    with Mount(t) as top:
        put(f"{top}/a", b"content")
        os.link(f"{top}/a", f"{top}/b")
        assert os.stat(f"{top}/a").st_nlink == 2
        os.rename(f"{top}/a", f"{top}/b") # two names of one file: nothing happens
        assert sorted(os.listdir(top)) == ["a", "b"]
        with open(f"{top}/a", "r+b") as file:
            os.unlink(f"{top}/a")
            os.unlink(f"{top}/b")
            assert os.fstat(file.fileno()).st_nlink == 0 and file.read() == b"content"
            file.write(b" and more")
        assert not os.listdir(top)
        target = "t" * 4000
        os.symlink(target, f"{top}/long")
        assert os.readlink(f"{top}/long") == target
        put(f"{top}/f")
        os.utime(f"{top}/f", ns=(1234567890123456789, 987654321987654321))
        stat = os.stat(f"{top}/f")
        assert (stat.st_atime_ns, stat.st_mtime_ns) == (1234567890123456789, 987654321987654321)
        os.utime(f"{top}/f", ns=(-1500000000, -1))
        assert os.stat(f"{top}/f").st_mtime_ns == -1
        before = os.stat(top).st_mtime_ns
        put(f"{top}/g")
        assert os.stat(top).st_mtime_ns > before
        os.mkdir(f"{top}/d")
        os.mkdir(f"{top}/d/e")
        assert os.stat(f"{top}/d").st_nlink == 3


def test_posix_content(t):
    with Mount(t, "--compress", "lz4") as top:
        path = f"{top}/f"
        put(path, b"a" * 10000)
        os.truncate(path, 5000)
        os.truncate(path, 9000)
        with open(path, "r+b") as file:
            assert file.read() == b"a" * 5000 + b"\0" * 4000
            file.seek(1 << 40)
            file.write(b"far")
        assert os.stat(path).st_size == (1 << 40) + 3 and os.stat(path).st_blocks < 100
        fd = os.open(path, os.O_RDWR)
        assert os.lseek(fd, 20000, os.SEEK_DATA) == 1 << 40
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 8192
        os.pwrite(fd, b"b" * 100, 4000)
        assert os.pread(fd, 102, 3999) == b"a" + b"b" * 100 + b"a"
        os.fsync(fd)
        os.close(fd)
        with open(path, "ab") as file:
            file.write(b"end")
        with open(path, "rb") as file:
            file.seek(1 << 40)
            assert file.read() == b"farend"
        expect(errno.EFBIG, os.truncate, path, 1 << 62 | 1)
        os.setxattr(path, "user.k", b"v" * 3000)
        assert os.getxattr(path, "user.k") == b"v" * 3000 and os.listxattr(path) == ["user.k"]
        expect(errno.EEXIST, os.setxattr, path, "user.k", b"", os.XATTR_CREATE)
        expect(errno.ENODATA, os.getxattr, path, "user.none")
        os.removexattr(path, "user.k")
        assert not os.listxattr(path)


def test_posix_permissions(t):
    with Mount(t) as top:
        put(f"{top}/f")
        os.chmod(f"{top}/f", 0o4751)
        assert os.stat(f"{top}/f").st_mode & 0o7777 == 0o4751
        os.chown(f"{top}/f", 12, 34)
        stat = os.stat(f"{top}/f")
        assert (stat.st_uid, stat.st_gid) == (12, 34)
        os.mkdir(f"{top}/d")
        os.chmod(f"{top}/d", 0o2755)
        os.chown(f"{top}/d", 0, 77)
        os.chmod(f"{top}/d", 0o2755)
        os.mkdir(f"{top}/d/e")
        stat = os.stat(f"{top}/d/e")
        assert stat.st_gid == 77 and stat.st_mode & 0o2000
        os.mknod(f"{top}/null", 0o020666, os.makedev(1, 3))
        assert os.stat(f"{top}/null").st_rdev == os.makedev(1, 3)
        os.mkfifo(f"{top}/fifo")
