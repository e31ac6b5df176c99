# SPDX-License-Identifier: MIT
"""Fetcher of third_party/manifest.toml: Debian packages and sources, pinned by hash, under build/.

A part names a `package`, whose .deb is pinned, or a `source`: then it is the tarball of the
upstream project, as Debian's source package carries it, that is pinned; Debian's revision of it may
move on.

apt is used with its state in a folder of ours, so that another architecture's packages can be
downloaded without adding that architecture to the machine. Where to download from is what the
machine already uses: every Debian entry of its sources, whatever mirror it names. A part that is
already there, with the manifest's hash on record, costs one file read.
"""
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tomllib

from .errors import HelixError

MANIFEST = "third_party/manifest.toml"
HOME = "build/third_party"


def manifest():
    """The manifest's parts by name, each checked for its fields."""
    with open(MANIFEST, "rb") as file:
        parts = tomllib.load(file)
    for name, part in parts.items():
        for key in ("version", "sha256", "files"):
            if key not in part:
                raise HelixError(f"{MANIFEST}: [{name}] needs '{key}'")
        if ("package" in part) == ("source" in part):
            raise HelixError(f"{MANIFEST}: [{name}] needs either 'package' or 'source'")
    return parts


def part_path(name, file):
    """Where `file` of part `name` is, once fetched."""
    return f"{HOME}/{name}/{file}"


def debian_sources(root="/etc/apt"):
    """The machine's binary package entries that are Debian's own, as one-line entries.

    Debian's are known by their suite or path: other vendors' archives carry neither.
    """
    entries = []
    for path in [f"{root}/sources.list", *sorted(glob.glob(f"{root}/sources.list.d/*.list"))]:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    match = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)", line)
                    if match:
                        options = dict(w.split("=", 1) for w in (match[1] or "").split()
                                       if "=" in w)
                        entries.append((options.get("signed-by"), match[2], match[3],
                                        match[4].split("#")[0].strip()))
    for path in sorted(glob.glob(f"{root}/sources.list.d/*.sources")):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"^#.*\n", "", file.read(), flags=re.MULTILINE)
        for stanza in re.split(r"\n\s*\n", text):
            fields = {k.lower(): " ".join(v.split()) for k, v in
                      re.findall(r"^([\w-]+):((?:.*\n?)(?:[ \t]+.*\n?)*)", stanza, re.MULTILINE)}
            if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
                continue
            for uri in fields.get("uris", "").split():
                for suite in fields.get("suites", "").split():
                    entries.append((fields.get("signed-by"), uri, suite,
                                    fields.get("components", "")))
    entries = [entry for entry in entries if re.search(r"/debian(-security)?/?$", entry[1])
               or entry[2].startswith("bookworm")]
    return [f"{kind} {entry_options(kind, key)}{uri} {suite} {components}"
            for key, uri, suite, components in entries for kind in ("deb", "deb-src")]


def entry_options(kind, key):
    """Options of a private entry: both machines' packages, and the signer if it is a file."""
    words = ["arch=amd64,arm64"] if kind == "deb" else []
    words += [f"signed-by={key}"] if key and key.startswith("/") else []
    return f"[{' '.join(words)}] " if words else ""


def apt(*words, cwd=None):
    """Run apt-get with a private state. Returns its exit status and what it said."""
    home = os.path.abspath(f"{HOME}/apt")
    options = {"Dir::Etc::SourceList": f"{home}/sources.list", "Dir::Etc::SourceParts": "/dev/null",
               "Dir::State::Lists": f"{home}/lists", "Dir::Cache": f"{home}/cache",
               "APT::Sandbox::User": "root", "Acquire::Languages": "none"}
    command = ["apt-get", "-q", *(f"-o{k}={v}" for k, v in options.items()), *words]
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def last_error(output):
    """apt's first complaint, for a one-line message."""
    return next((line for line in output.splitlines() if line.startswith("E:")), "no reason given")


def update():
    home = f"{HOME}/apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(f"{home}/{folder}", exist_ok=True)
    sources = debian_sources()
    if not sources:
        raise HelixError("third party: /etc/apt names no Debian archive to download from")
    with open(f"{home}/sources.list", "w", encoding="utf-8") as file:
        file.write("\n".join(sources) + "\n")
    status, output = apt("update", "--error-on=any")
    if status != 0:
        raise HelixError(f"third party: cannot reach the Debian archive: {last_error(output)}")


def unpack(archive, folder):
    """Unpack a .deb, or a tarball without its top folder; what points outside is refused."""
    if archive.endswith(".deb"):
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
        return
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = os.path.normpath("/".join(member.name.split("/")[1:]))
            if member.isfile() and not path.startswith(("..", "/")):
                os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
                with tar.extractfile(member) as data, open(f"{folder}/{path}", "wb") as out:
                    shutil.copyfileobj(data, out)


def fetch(name, part):
    """Download, verify and unpack one part; nothing is left behind unless all of it worked."""
    folder, incoming = f"{HOME}/{name}", f"{HOME}/{name}.incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    os.makedirs(incoming)
    package = part.get("package") or part["source"]
    words = ["download"] if "package" in part else ["source", "--download-only"]
    status, output = apt(*words, package, cwd=incoming)
    found = glob.glob(f"{incoming}/*.deb" if "package" in part else f"{incoming}/*.orig.tar.*z*")
    found = [file for file in found if not file.endswith(".asc")]
    if status != 0 or len(found) != 1:
        raise HelixError(f"third party: cannot download {package} (is this machine "
                         f"online?): {last_error(output)}")
    with open(found[0], "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if digest != part["sha256"]:
        raise HelixError(f"third party: {os.path.basename(found[0])} has SHA-256 {digest}, "
                         f"{MANIFEST} pins {part['sha256']}: refused")
    unpack(found[0], f"{incoming}/all")
    for file in part["files"]:
        if not os.path.isfile(f"{incoming}/all/{file}"):
            raise HelixError(f"third party: {package} holds no {file}")
        os.makedirs(os.path.dirname(f"{incoming}/keep/{file}"), exist_ok=True)
        os.rename(f"{incoming}/all/{file}", f"{incoming}/keep/{file}")
    with open(f"{incoming}/keep/.record", "w", encoding="ascii") as file:
        file.write(record(part))
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(f"{incoming}/keep", folder)
    shutil.rmtree(incoming)


def record(part):
    """What is written beside a part that is there: which bytes, and what was kept of them."""
    return "\n".join([part["sha256"], *part["files"]])


def present(name, part):
    try:
        with open(f"{HOME}/{name}/.record", encoding="ascii") as file:
            return file.read() == record(part)
    except FileNotFoundError:
        return False


def ensure(*names):
    """Make the named parts present. Raises HelixError in one line if one cannot be had."""
    parts = manifest()
    if all(present(name, parts[name]) for name in names):
        return
    os.makedirs(HOME, exist_ok=True)
    with open(f"{HOME}/.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in names if not present(name, parts[name])]
        if missing:
            update()
        for name in missing:
            fetch(name, parts[name])
