# SPDX-License-Identifier: MIT
"""The kernel's gdb commands, on a stopped kernel."""
import os
import shutil

from hosttools.suites import arches

GDB = "gdb-multiarch"


@arches
def test_gdb_commands_read_the_kernel(t, arch):
    if not shutil.which(GDB):
        t.skip(f"{GDB} is not installed")
    stub = f"{t.tmp}/gdb"
    guest = t.boot(arch=arch, gdb=stub, cmdline="exit=qemu exec=version nonce=1")
    while not os.path.exists(stub):
        assert guest.process.poll() is None
    symbols = f"build/{arch}/{t.variant}/output/helix-kernel.sym"
    done = t.run(GDB, "-q", "-batch", "-nx", "-ex", f"target remote {stub}",
                 "-x", "tools/gdb/helix.py", "-ex", "hbreak execution_first_process", "-ex", "continue",
                 "-ex", "hx-log", "-ex", "hx-log 1", "-ex", "hx-boot", "-ex", "hx-irq",
                 "-ex", "hx-where $pc", "-ex", "backtrace", symbols)
    said = done.stdout + done.stderr
    assert "Error occurred" not in said, said
    assert done.returncode == 0 and "boot: Helix" in said, said
    assert said.count("init: starting") == 2, said
    assert "BOOT_REGION_RAM" in said, said
    assert "execution_first_process" in said and "kernel_main" in said, said
