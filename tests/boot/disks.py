# SPDX-License-Identifier: MIT
"""Disks: what the guest writes, the host reads from the image, and the other way round; on every way
there is to a virtio disk. The guest's side is tests/block/disk_ktest.c, which says what is where.
"""
import array
import json
import os
import re
import struct
import uuid
import zlib

from hosttools.suites import ktest_results

PATTERN = 0x9E3779B97F4A7C15
SECTOR, WORDS = 512, 64
AREA, HOSTS, ZEROES, MANY, DISK = 8192, 16384, 32768, 49152, 65536
MODERN = ["-global", "virtio-mmio.force-legacy=false"]
INTX = "virtio-blk-pci,vectors=0"

WAYS = {
    "x86_64-pc": {"arch": "x86_64"},
    "x86_64-pc-intx": {"arch": "x86_64", "disk_device": INTX},
    "x86_64-pc-8259": {"arch": "x86_64", "machine_options": "acpi=off"},
    "x86_64-q35": {"arch": "x86_64", "board": "q35"},
    "x86_64-q35-intx": {"arch": "x86_64", "board": "q35", "disk_device": INTX},
    "x86_64-q35-uefi": {"arch": "x86_64", "board": "q35", "firmware": "uefi"},
    "x86_64-q35-bridge": {"arch": "x86_64", "board": "q35",
                          # Not id=port: that is a property of its own, and QEMU would not start.
                          "extra": ["-device", "pcie-root-port,id=root,chassis=1"],
                          "disk_device": "virtio-blk-pci,bus=root"},
    "aarch64-gicv2": {"arch": "aarch64"},
    "aarch64-gicv2-intx": {"arch": "aarch64", "disk_device": INTX},
    "aarch64-gicv3": {"arch": "aarch64", "gic": 3},
    "aarch64-mmio": {"arch": "aarch64", "disk_device": "virtio-blk-device", "extra": MODERN},
    "aarch64-mmio-legacy": {"arch": "aarch64", "disk_device": "virtio-blk-device"},
}


def ways(function):
    function.cases = WAYS
    return function


def pattern(sector, count):
    """The sectors' contents as the guest makes them."""
    words = array.array("Q")
    for number in range(sector, sector + count):
        first = number * PATTERN
        words.extend([(first + word) & 0xFFFFFFFFFFFFFFFF for word in range(WORDS)])
    return words.tobytes()


def image(path):
    with open(path, "wb") as file:
        file.truncate(DISK * SECTOR)
        file.seek(HOSTS * SECTOR)
        file.write(pattern(HOSTS, AREA))
        file.seek(ZEROES * SECTOR)
        file.write(b"\xff" * (AREA * SECTOR))


@ways
def test_disk(t, **keywords):
    path, other = os.path.join(t.tmp, "disk.img"), os.path.join(t.tmp, "other.img")
    image(path)
    with open(other, "wb") as file:
        file.truncate(1 << 20)
    disks = [path] if "bus=" in keywords.get("disk_device", "") else [path, f"ro:{other}"]
    guest = t.boot(kernel="helix-kernel-test", cmdline="exit=qemu ktest=disk.*", smp=4,
                   disks=disks, **keywords)
    guest.wait(120)
    assert "@ktest begin" in guest.text(), guest.complaint() or "no test began"
    results = ktest_results(guest.text(), guest.exit_code(), guest.timed_out)
    if any(verdict == "FAIL" for _name, verdict, _why in results):
        return results
    skipped = [name for name, verdict, _why in results if verdict == "skip"]
    assert not skipped or (len(disks) == 1 and len(skipped) == 1), skipped
    with open(path, "rb") as file:
        data = file.read()
    part = lambda sector, count: data[sector * SECTOR:(sector + count) * SECTOR]
    assert part(0, AREA) == pattern(0, AREA), "what the guest wrote is not what is there"
    assert part(HOSTS, AREA) == pattern(HOSTS, AREA), "the guest wrote where it should not"
    assert part(ZEROES, AREA // 2) == bytes(AREA // 2 * SECTOR)
    assert part(ZEROES + AREA // 2, AREA // 2) == b"\xff" * (AREA // 2 * SECTOR)
    written = 0
    for sector in range(MANY, DISK):
        found = part(sector, 1)
        assert found in (bytes(SECTOR), pattern(sector, 1)), f"sector {sector} is neither"
        written += found != bytes(SECTOR)
    assert written > 1000, f"only {written} sectors were written by many at once"
    return results


def gpt(path, sectors, partitions, lie=None):
    """A partition table; `lie(header, entries)` may change what stands in both copies."""
    entries = bytearray(128 * 128)
    for number, (first, last, name) in enumerate(partitions):
        entries[number * 128:(number + 1) * 128] = (
            uuid.uuid4().bytes_le + uuid.uuid4().bytes_le + struct.pack("<QQQ", first, last, 0)
            + name.encode("utf-16le").ljust(72, b"\0"))
    with open(path, "wb") as file:
        file.truncate(sectors * SECTOR)
        for here, other, table in ((1, sectors - 1, 2), (sectors - 1, 1, sectors - 33)):
            header = bytearray(b"EFI PART" + struct.pack(
                "<IIIIQQQQ", 0x10000, 92, 0, 0, here, other, 34, sectors - 34)
                + uuid.uuid4().bytes_le + struct.pack("<QIII", table, 128, 128,
                                                      zlib.crc32(entries)))
            if lie:
                lie(header)
            struct.pack_into("<I", header, 16, zlib.crc32(header))
            file.seek(here * SECTOR)
            file.write(header)
            file.seek(table * SECTOR)
            file.write(entries)


def both(function):
    function.cases = {"x86_64": {"arch": "x86_64"}, "aarch64": {"arch": "aarch64"}}
    return function


@both
def test_partitions(t, arch):
    whole, torn, lying = (os.path.join(t.tmp, name) for name in ("whole", "torn", "lying"))
    parts = [(2048, 4095, "boot"), (4096, 20000, "größe")]
    gpt(whole, 32768, parts)
    gpt(torn, 32768, parts)
    with open(torn, "r+b") as file:
        file.seek(SECTOR + 60)
        file.write(b"torn")
    # Self-consistent, but the usable blocks are said to reach beyond the disk.
    gpt(lying, 32768, parts, lambda header: struct.pack_into("<Q", header, 48, 1 << 40))
    result = t.exec("disks --json; dmesg -l warn", arch=arch, disks=[whole, torn, lying])
    disks = {}
    for line in result.output.splitlines():
        if line.startswith("{"):
            disk = json.loads(line)
            disks[disk["name"]] = disk
    assert set(disks) == {"vda", "vda1", "vda2", "vdb", "vdb1", "vdb2", "vdc"}, result.output
    assert (disks["vda2"]["start"], disks["vda2"]["sectors"]) == (4096, 15905)
    assert disks["vda2"]["label"] == "größe" and disks["vda"]["label"] == ""
    assert re.search(r"vdb: partition table damaged \(wrong checksum of the header\), its backup",
                     result.output), result.output
    assert re.search(r"vdc: no partitions: the usable blocks are not on the device",
                     result.output), result.output


@both
def test_devices_are_listed_without_any(t, arch):
    """A machine without a disk boots as ever, and every line of the list is JSON."""
    result = t.exec("devices --json; disks --json", arch=arch)
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert result.status == 0 and any(row["driver"] == "hal" for row in rows), result.output
    assert not any(row.get("bus") == "virtio" for row in rows), result.output


@both
def test_entropy_device_is_asked(t, arch):
    result = t.exec("dmesg", arch=arch, extra=["-device", "virtio-rng-pci"])
    assert re.search(r"random: 64 bytes from virtio@", result.output), result.output
