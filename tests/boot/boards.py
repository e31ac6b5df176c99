# SPDX-License-Identifier: MIT
"""Every machine that Helix claims to boot on: each prints its version and exits."""
import re

from hosttools.suites import each

SUITE = "boards"
ROWS = {}
for gic in (2, 3):
    for cpu in ("cortex-a53", "cortex-a57", "cortex-a72", "max"):
        for el2 in (False, True):
            ROWS[f"virt-gicv{gic}-{cpu}-el{2 if el2 else 1}"] = {
                "arch": "aarch64", "board": "virt", "gic": gic, "cpu": cpu, "virtualization": el2}
ROWS["virt-32MiB"] = {"arch": "aarch64", "mib": 32}
ROWS["virt-6GiB"] = {"arch": "aarch64", "mib": 6144, "cpu": "max"}
ROWS["virt-smp8-gicv3-el2"] = {"arch": "aarch64", "smp": 8, "gic": 3, "virtualization": True}
ROWS["raspi3b"] = {"arch": "aarch64", "board": "raspi3b"}
for board in ("pc", "q35"):
    for smp in (1, 8):
        ROWS[f"{board}-bios-32MiB-smp{smp}"] = {"arch": "x86_64", "board": board, "mib": 32,
                                                "smp": smp}
    for mib, smp in ((64, 1), (128, 8), (6144, 1)):
        ROWS[f"{board}-uefi-{mib}MiB-smp{smp}"] = {
            "arch": "x86_64", "board": board, "firmware": "uefi", "mib": mib, "smp": smp}
    ROWS[f"{board}-bios-6GiB-smp8"] = {"arch": "x86_64", "board": board, "mib": 6144, "smp": 8}


@each(**ROWS)
def test_boots(t, **row):
    result = t.exec("version", timeout=90, **row)
    assert result.status == 0, (result.reason, result.panic, result.log)
    board = row.get("board") or "virt"
    assert re.fullmatch(rf"Helix \d+\.\d+\.\d+ {row['arch']} \S*{board}\S* build \S+ .*\n",
                        result.output), result.output
