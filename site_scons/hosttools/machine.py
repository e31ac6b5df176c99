# SPDX-License-Identifier: MIT
"""The machines that Helix boots on, as QEMU command lines.

A Machine says what one is made of; command() spells it for QEMU. What the host tells the guest at
run time goes through QEMU's fw_cfg where the machine has one (pc, q35, virt), else through -append
and -initrd (raspi3b):
    opt/helix/cmdline   words for the kernel, as text
    opt/helix/files     the --file options, as a cpio archive (newc)
The boot archive comes with the ISO, or by -initrd; on raspi3b the --file options are added to it.
"""
import os
import struct
from dataclasses import dataclass, field

from .errors import HelixError

OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
BOARDS = {"x86_64": ("pc", "q35"), "aarch64": ("virt", "raspi3b")}
DEFAULT_CPU = {"pc": "max", "q35": "max", "virt": "cortex-a57", "raspi3b": None}
RASPI3B_MIB = 1024
RAW_ARCHIVE = 0x4A000000    # where _raw() puts the boot archive; a tree may say so


def output(arch, variant, name):
    """Path of an artifact."""
    return os.path.join("build", arch, variant, "output", name)


@dataclass
class Machine:
    """One machine. None means the board's own default."""
    arch: str = "x86_64"
    board: str = None
    variant: str = "release"
    mib: int = 256
    smp: int = 1
    cpu: str = None
    firmware: str = "bios"              # x86_64: bios or uefi
    vga: str = "none"                   # x86_64: none or std
    gic: int = 2                        # virt
    virtualization: bool = False        # virt: start at EL2
    machine_options: str = ""           # appended to -M, such as "acpi=off"
    icount: bool = False
    kernel: str = "helix-kernel"        # or helix-kernel-test
    cmdline: str = ""
    interactive: bool = False           # a person's: monitor on Ctrl-A, reboot reboots
    disks: list = field(default_factory=list)   # paths; "ro:PATH" cannot be written
    disk_device: str = "virtio-blk-pci" # what they hang on, with options after commas
    extra: list = field(default_factory=list)   # more words for QEMU
    files: list = field(default_factory=list)   # (host path, guest path)
    raw_dtb: str = None                 # virt: these bytes are the device tree (see _raw)
    qmp: str = None                     # path of a QMP socket
    gdb: str = None                     # path of a gdb socket; starts stopped
    serial: str = None                  # a QEMU character device instead of stdin and stdout

    def __post_init__(self):
        if self.arch not in BOARDS:
            raise HelixError(f"--arch {self.arch} does not boot; choose x86_64 or aarch64")
        self.board = self.board or BOARDS[self.arch][0]
        if self.board not in BOARDS[self.arch]:
            raise HelixError(f"no board '{self.board}' on {self.arch}: choose "
                             f"{' or '.join(BOARDS[self.arch])}")
        if self.firmware == "uefi" and self.arch != "x86_64":
            raise HelixError("--firmware uefi is for x86_64; aarch64 boards load the Image")
        for disk in self.disks:
            if not os.path.isfile(disk.removeprefix("ro:")):
                raise HelixError(f"--disk {disk}: no such file")
        for host, _guest in self.files:
            if not os.path.isfile(host):
                raise HelixError(f"--file {host}: no such file")

    def image(self):
        """What boots: the ISO or the raw image."""
        if self.arch == "x86_64":
            return output(self.arch, self.variant, self.kernel.replace("-kernel", "") + ".iso")
        return output(self.arch, self.variant, f"{self.kernel}.img")

    def targets(self):
        """SCons targets that make image() and what goes with it."""
        if self.kernel == "helix-kernel-test":
            return ["testkernel"]
        return ["iso", "symbols"] if self.arch == "x86_64" else ["kernel"]

    def command(self, scratch):
        """The QEMU command line; files that QEMU reads are written into folder `scratch`."""
        return [f"qemu-system-{self.arch}", "-nodefaults", "-no-user-config", "-display", "none",
                *self._processor(), *(self._pc() if self.arch == "x86_64" else self._arm(scratch)),
                *self._words(scratch), *self._devices()]

    def _processor(self):
        memory = RASPI3B_MIB if self.board == "raspi3b" else self.mib
        smp = 4 if self.board == "raspi3b" else self.smp
        cpu = self.cpu or DEFAULT_CPU[self.board]
        words = ["-m", str(memory), "-smp", str(smp), *(["-cpu", cpu] if cpu else [])]
        if self.icount:
            # Neither the time of day nor a random seed may differ from run to run.
            # With a disk, time that runs ahead while the host works would look like a dead device.
            sleep = "on" if self.disks else "off"
            return [*words, "-accel", "tcg,thread=single", "-icount", f"shift=0,sleep={sleep}",
                    "-rtc", "base=2026-01-01T00:00:00,clock=vm"]
        return [*words, "-accel", "tcg"]

    def _machine(self, *options):
        return ["-M", ",".join(o for o in (self.board, *options, self.machine_options) if o)]

    def _pc(self):
        words = [*self._machine(), "-vga", self.vga, "-cdrom", self.image()]
        if self.firmware == "uefi":
            # Always the pristine variables: a file that another machine wrote to can hang OVMF.
            words += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}",
                      "-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={OVMF_VARS}"]
        if not self.interactive:
            words += ["-device", "isa-debug-exit,iobase=0x501,iosize=2"]
        return words

    def _arm(self, scratch):
        if self.board == "virt":
            words = self._machine(f"gic-version={self.gic}",
                                  "virtualization=on" if self.virtualization else "",
                                  "dtb-randomness=off" if self.icount else "")
        else:
            words = self._machine()
        if self.raw_dtb:
            words += self._raw(scratch)
        else:
            words += ["-kernel", self.image(), "-initrd", self._archive(scratch)]
        if self.board != "virt":
            words += ["-dtb", f"build/aarch64/{self.variant}/boards/{self.board}.dtb"]
        if not self.interactive:
            words += ["-semihosting-config", "enable=on,target=native"]
        return words

    def _raw(self, scratch):
        """Load the image, the boot archive and a device tree as they are, and enter by a loader of
        our own.

        QEMU's loader parses the tree and mends it (it adds memory and bootargs), so that a broken
        one never reaches the kernel. This one puts the address into x0 and jumps, no more:
        ldr x0, 1f; ldr x1, 2f; br x1; nop; 1: .quad tree; 2: .quad image.
        """
        image, tree, stub = 0x40200000, 0x48000000, 0x4F000000
        path = os.path.join(scratch, "loader.bin")
        with open(path, "wb") as out:
            out.write(struct.pack("<4I2Q", 0x58000080, 0x580000A1, 0xD61F0020, 0xD503201F,
                                  tree, image))
        return ["-device", f"loader,file={self.image()},addr={image:#x},force-raw=on",
                "-device", f"loader,file={self.raw_dtb},addr={tree:#x},force-raw=on",
                "-device", f"loader,file={self._archive(scratch)},addr={RAW_ARCHIVE:#x},"
                           "force-raw=on",
                "-device", f"loader,file={path},addr={stub:#x},force-raw=on",
                "-device", f"loader,addr={stub:#x},cpu-num=0"]

    def _archive(self, scratch):
        """The boot archive, with the --file options behind it where there is no fw_cfg."""
        path = output(self.arch, self.variant, "boot.cpio")
        if not self.files or self.board != "raspi3b":
            return path
        with open(path, "rb") as file:
            archive = file.read()
        path = os.path.join(scratch, "boot.cpio")
        with open(path, "wb") as out:
            out.write(archive[:archive.rindex(b"070701")] + newc_archive(self.files))
        return path

    def _words(self, scratch):
        words = []
        if self.files and self.board != "raspi3b":
            archive = os.path.join(scratch, "files.cpio")
            with open(archive, "wb") as out:
                out.write(newc_archive(self.files))
            words += ["-fw_cfg", f"name=opt/helix/files,file={archive}"]
        if self.cmdline and self.board == "raspi3b":
            words += ["-append", self.cmdline]
        elif self.cmdline:
            # By file: in string= a comma would end the value.
            path = os.path.join(scratch, "cmdline")
            with open(path, "w", encoding="utf-8") as out:
                out.write(self.cmdline)
            words += ["-fw_cfg", f"name=opt/helix/cmdline,file={path}"]
        return words

    def _devices(self):
        words = list(self.extra)
        bus = "sd" if self.board == "raspi3b" else "none"
        for number, disk in enumerate(self.disks):
            escaped = disk.removeprefix("ro:").replace(",", ",,")
            mode = ",readonly=on" if disk.startswith("ro:") else ""
            words += ["-drive", f"if={bus},id=disk{number},format=raw,discard=unmap,"
                      f"file={escaped}{mode}"]
            if bus == "none":
                # QEMU fills memory-mapped slots from the last one down.
                slot = (f",bus=virtio-mmio-bus.{number}"
                        if self.disk_device.startswith("virtio-blk-device") else "")
                words += ["-device", f"{self.disk_device},drive=disk{number}{slot}"]
        serial = self.serial or ("mon:stdio" if self.interactive else "stdio")
        words += ["-serial", serial, "-monitor", "none"]
        if not self.interactive:
            words += ["-no-reboot"]
        if self.qmp:
            words += ["-qmp", f"unix:{self.qmp},server=on,wait=off"]
        if self.gdb:
            words += ["-S", "-gdb", f"unix:{self.gdb},server=on,wait=off"]
        return words


def newc_archive(files):
    """A cpio archive in the "new ASCII" format. Spec: cpio(5), New ASCII Format."""
    def entry(name, mode, data, inode):
        raw = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + raw
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)

    parts, made, inode = [], set(), 0
    for host, guest in files:
        path = guest.strip("/")
        if not path or any(part in ("", ".", "..") for part in path.split("/")):
            raise HelixError(f"--file {host}={guest}: not a path for a file in the guest")
        try:
            with open(host, "rb") as source:
                data = source.read()
        except OSError as error:
            raise HelixError(f"--file {host}: {error.strerror}") from None
        folders = path.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            folder = "/".join(folders[:depth])
            if folder not in made:
                made.add(folder)
                inode += 1
                parts.append(entry(folder, 0o040755, b"", inode))
        inode += 1
        mode = 0o100755 if os.access(host, os.X_OK) else 0o100644
        parts.append(entry(path, mode, data, inode))
    parts.append(entry("TRAILER!!!", 0, b"", 0))
    return b"".join(parts)
