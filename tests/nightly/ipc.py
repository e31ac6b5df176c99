# SPDX-License-Identifier: MIT
"""Ten million messages: on this machine, and through the system calls of both architectures."""
from hosttools.suites import arches, each

SUITE = "nightly"


@each(one={"consumers": 1}, four={"consumers": 4})
def test_ten_million_messages(t, consumers):
    t.build("host", ["tools"], "release")
    done = t.run("build/host/release/bin/ring-threads", "10000000", str(consumers), timeout=1800)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@arches
def test_ten_million_messages_through_the_kernel(t, arch):
    result = t.exec("run ipctest 10000000", arch=arch, smp=4, timeout=3600)
    assert result.status == 0, result.output
