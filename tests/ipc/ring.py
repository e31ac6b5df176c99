# SPDX-License-Identifier: MIT
"""The lock-free queue: every interleaving of small instances, and threads that are really there."""
from hosttools.suites import each

SUITE = "ipc"
BIN = "build/host/release/bin"


def program(t, name, *words, timeout=170):
    t.build("host", ["tools"], "release")
    return t.run(f"{BIN}/{name}", *words, timeout=timeout)


def test_every_interleaving(t):
    done = program(t, "ring-model")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    lines = done.stdout.splitlines()
    assert len(lines) == 6 and all(int(line.split()[-2]) > 0 for line in lines), done.stdout


def test_the_model_checker_finds_a_broken_ring(t):
    done = program(t, "ring-model-broken")
    assert done.returncode == 1, f"{done.stdout}{done.stderr}"


@each(one={"consumers": 1}, four={"consumers": 4})
def test_threads_under_the_thread_sanitizer(t, consumers):
    done = program(t, "ring-threads-tsan", "200000", str(consumers))
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_eight_producers_keep_their_order(t):
    done = program(t, "ring-threads", "1000000")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
