# SPDX-License-Identifier: MIT
"""Copies of the tree for tests that commit crimes in it, or that build it somewhere else."""
import os
import shutil
import subprocess

GIT = ["git", "-c", "safe.directory=*", "-c", "user.name=test", "-c", "user.email=test@localhost"]


def copy_tree(to, history="new"):
    """Copy sources and downloaded parts to folder `to`.

    history: "new", a repository of one commit; "same", this tree's own; "none".
    """
    skip = shutil.ignore_patterns("__pycache__") if history == "same" else \
        shutil.ignore_patterns("__pycache__", ".git")

    def ignore(folder, names):
        top = os.path.abspath(folder) == os.path.abspath(".")
        return {*skip(folder, names), *(["build"] if top else [])}

    shutil.copytree(".", to, ignore=ignore, symlinks=True)
    if os.path.isdir("build/third_party"):
        shutil.copytree("build/third_party", f"{to}/build/third_party",
                        ignore=shutil.ignore_patterns("apt", ".lock"))
    if history == "new":
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
            subprocess.run([*GIT, *words], cwd=to, check=True, capture_output=True)
    return to


def write(top, path, text):
    """Write a file of a copy, making its folders."""
    full = os.path.join(top, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def edit(top, path, old, new):
    """Replace the one occurrence of `old` in a file of a copy."""
    full = os.path.join(top, path)
    with open(full, encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) == 1, f"{path}: {old!r} occurs {text.count(old)} times"
    with open(full, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
