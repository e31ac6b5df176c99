# SPDX-License-Identifier: MIT
"""An independent reader of HelixFS images, written from fs/SPEC.md alone: it shares no code with the
file system, so that the document and the code cannot drift apart unnoticed.

    reader.py IMAGE [--subvolume NAME]

Prints what `helixfs-inspect --json IMAGE tree` prints, sorted by path: one JSON object for each path
with inode, mode, owner, links, size and the CRC-32 of the content. Shows the last commit; the log is
not replayed. Zstandard extents need the `zstd` program, encryption is not read.
"""
import argparse
import json
import struct
import subprocess
import sys
import zlib

BLOCK, NODE, RING, LABEL = 4096, 16384, 32, 36
BPTR = struct.Struct("<QQQ16s")
KEY = struct.Struct("<QQQ")
SUPER = struct.Struct("<IIII16sQQQQQQQQq16s64s")
UBER = struct.Struct("<IIIIQQq40sIIQQQQQQQ")
HEAD = struct.Struct("<IIQQQQHHHH24s")
DINODE = struct.Struct("<QQQQIIIIqqqqQIIQQ")
SUBVOL = struct.Struct("<40sIIQQQQQQQQQQqII64s")
EXTENT = struct.Struct("<QQHHHHII")
ORPHAN, INODE, XATTR, DIRENT, EXTENT_KIND = range(5)


class Damaged(Exception):
    """The image contradicts the specification."""


def make_crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


CRC = make_crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def xxh64(data):
    """XXH64 with seed 0, of inputs that are a multiple of 32 bytes."""
    m = (1 << 64) - 1
    p1, p2, p3, p4 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                      0x85EBCA77C2B2AE63)

    def rot(v, n):
        return (v << n | v >> (64 - n)) & m

    def step(acc, lane):
        return rot((acc + lane * p2) & m, 31) * p1 & m

    v = [(p1 + p2) & m, p2, 0, (-p1) & m]
    for lanes in struct.iter_unpack("<4Q", data):
        v = [step(acc, lane) for acc, lane in zip(v, lanes)]
    h = (rot(v[0], 1) + rot(v[1], 7) + rot(v[2], 12) + rot(v[3], 18)) & m
    for acc in v:
        h = ((h ^ step(0, acc)) * p1 + p4) & m
    h = (h + len(data)) & m
    h = (h ^ h >> 33) * p2 & m
    h = (h ^ h >> 29) * p3 & m
    return h ^ h >> 32


def lz4_block(src):
    """The LZ4 block format."""
    out, i = bytearray(), 0
    while True:
        token = src[i]
        i += 1
        length = token >> 4
        if length == 15:
            while True:
                length += src[i]
                i += 1
                if src[i - 1] != 255:
                    break
        out += src[i:i + length]
        i += length
        if i >= len(src):
            return bytes(out)
        offset = src[i] | src[i + 1] << 8
        i += 2
        length = (token & 15) + 4
        if length == 19:
            while True:
                length += src[i]
                i += 1
                if src[i - 1] != 255:
                    break
        for _ in range(length):
            out.append(out[-offset])


class Image:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.super = self.read_super()
        self.uber = self.read_uber()

    def block(self, addr, count=1):
        return self.data[addr * BLOCK:(addr + count) * BLOCK]

    def checked(self, block):
        zeroed = block[:4] + b"\0\0\0\0" + block[8:]
        return crc32c(zeroed) == struct.unpack_from("<I", block, 4)[0]

    def read_super(self):
        for addr in (0, (len(self.data) // BLOCK - LABEL) & ~3):
            block = self.block(addr)
            if block[:4] == b"HFS1" and self.checked(block):
                names = ("magic crc version copies uuid fsid blocks label_b log_start log_blocks "
                         "compat ro_compat incompat created hash_key label").split()
                return dict(zip(names, SUPER.unpack_from(block)))
        raise Damaged("no superblock")

    def read_uber(self):
        best = None
        names = ("magic crc version top fsid txg time root levels reserved next_subvol free quads "
                 "op_seq log_seq log_pos log_chain").split()
        for label in (0, self.super["label_b"]):
            for slot in range(RING):
                block = self.block(label + 1 + slot)
                if block[:4] != b"HFU1" or not self.checked(block):
                    continue
                uber = dict(zip(names, UBER.unpack_from(block)))
                if uber["fsid"] == self.super["fsid"] and \
                        (best is None or uber["txg"] > best["txg"]):
                    best = uber
        if best is None:
            raise Damaged("no root")
        return best

    def node(self, ptr, level):
        addr, copy, birth, csum = BPTR.unpack(ptr)
        for place in (addr, copy):
            data = self.block(place, 4)
            want = struct.pack("<QI4x", xxh64(data), crc32c(data))
            magic, _, fsid, own, born, _, lev, _, _, flags, _ = HEAD.unpack_from(data)
            if flags & 1:
                raise Damaged("encrypted: this reader has no keys")
            if want == csum and magic == 0x314E4648 and fsid == self.super["fsid"] and \
                    own == addr and born == birth and lev == level:
                return data
        raise Damaged(f"node at block {addr}")

    def items(self, ptr, levels):
        """All (key, value) of a tree, in order."""
        if levels == 0:
            return
        stack = [(ptr, levels - 1)]
        while stack:
            ptr, level = stack.pop()
            data = self.node(ptr, level)
            count = HEAD.unpack_from(data)[7]
            if level > 0:
                children = [data[HEAD.size + 64 * i:HEAD.size + 64 * (i + 1)]
                            for i in range(count)]
                stack += [(c[24:64], level - 1) for c in reversed(children)]
                continue
            for i in range(count):
                at = HEAD.size + 32 * i
                off, length = struct.unpack_from("<HH", data, at + 24)
                yield KEY.unpack_from(data, at), data[off:off + length]

    def subvolume(self, name):
        for (_, kind, _), value in self.items(self.uber["root"], self.uber["levels"]):
            if kind == 1 and len(value) == SUBVOL.size:
                fields = SUBVOL.unpack(value)
                if fields[-1].rstrip(b"\0").decode() == name:
                    return fields[0], fields[1]
        raise Damaged(f"no subvolume {name}")

    def extent(self, value):
        """The content of one extent."""
        addr, _, length, flags, alg, blocks, size, crc = EXTENT.unpack_from(value)
        stored = self.block(addr, blocks)
        if not flags & 1:
            for i in range(length):
                want = struct.unpack_from("<I", value, EXTENT.size + 4 * i)[0]
                if crc32c(stored[i * BLOCK:(i + 1) * BLOCK]) != want:
                    raise Damaged(f"data at block {addr + i}")
            return stored
        stored = stored[:size]
        if crc32c(stored) != crc or flags & 2:
            raise Damaged(f"data at block {addr}")
        if alg == 1:
            stored = lz4_block(stored)
        elif alg == 2:
            stored = subprocess.run(["zstd", "-dcq"], input=stored, check=True,
                                    stdout=subprocess.PIPE).stdout
        if len(stored) != length * BLOCK:
            raise Damaged(f"data at block {addr} expands to {len(stored)} bytes")
        return stored

    def tree(self, name):
        """{path: attributes} of a subvolume."""
        inodes, content, names = {}, {}, {}
        for (oid, kind, off), value in self.items(*self.subvolume(name)):
            if oid == 0:
                continue
            if kind == INODE:
                f = DINODE.unpack_from(value)
                inodes[oid] = {"ino": oid, "mode": f[4], "uid": f[5], "gid": f[6], "nlink": f[7],
                               "size": f[0], "entries": f[3]}
                content[oid] = bytearray(f[0])
                if f[13] & 1:
                    content[oid][:] = value[DINODE.size:]
            elif kind == DIRENT:
                at = 0
                while at < len(value):
                    ino, _, n = struct.unpack_from("<QBB", value, at)
                    names.setdefault(oid, []).append((value[at + 10:at + 10 + n], ino))
                    at += 10 + n
            elif kind == EXTENT_KIND:
                data = self.extent(value)
                room = len(content[oid]) - off * BLOCK
                if room > 0:
                    content[oid][off * BLOCK:off * BLOCK + min(room, len(data))] = data[:room]
        found, open_dirs = {}, [(b"", 1)]
        while open_dirs:
            prefix, dir_ino = open_dirs.pop()
            for name_bytes, ino in names.get(dir_ino, []):
                path, inode = prefix + b"/" + name_bytes, inodes[ino]
                is_dir = inode["mode"] >> 12 == 4
                has_content = inode["mode"] >> 12 in (8, 10)
                found[path.decode("latin-1")] = {
                    "path": path.decode("latin-1"), "ino": ino, "mode": inode["mode"],
                    "uid": inode["uid"], "gid": inode["gid"], "nlink": inode["nlink"],
                    "size": inode["entries"] if is_dir else inode["size"],
                    "crc32": zlib.crc32(content[ino]) if has_content else 0}
                if is_dir:
                    open_dirs.append((path, ino))
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("image")
    parser.add_argument("--subvolume", default="main")
    args = parser.parse_args()
    try:
        found = Image(args.image).tree(args.subvolume)
    except Damaged as error:
        print(f"reader.py: {args.image}: {error}", file=sys.stderr)
        return 1
    for path in sorted(found):
        print(json.dumps(found[path], separators=(",", ":")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
