# SPDX-License-Identifier: MIT
"""Reader of profiles/NAME/helix.toml: an operating system, described.

A profile comes from a user, so each field is checked for presence, type and range, a key nobody
reads is an error, and every error names the file and the line. TOML values carry no line numbers
once parsed: the line of a key is found again in the text, table by table, which is exact for the
plain `[table]` and `key = value` that a profile consists of.
"""
import os
import re
import tomllib

from .errors import HelixError

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
CMDLINE_MAX = 512
# table -> key -> (type, its name in messages)
KEYS = {
    "profile": {"name": (str, "a string"), "description": (str, "a string")},
    "modules": {"built_in": (list, "a list of module names")},
    "memory": {"mib": (int, "a whole number of MiB")},
    "boot": {"cmdline": (str, "a string"), "first_program": (str, "a string")},
}


class Profile:
    """A checked profile: name, description, built_in, mib, cmdline (the kernel's words)."""

    def __init__(self, name, top="."):
        self.path = os.path.join("profiles", name, "helix.toml")
        self._top = top
        if not NAME.fullmatch(name):
            raise HelixError(f"profile '{name}': a name is a-z, 0-9, - and _, at most 32 long")
        try:
            with open(os.path.join(top, self.path), encoding="utf-8") as file:
                self._text = file.read()
        except FileNotFoundError:
            raise HelixError(f"profile '{name}': there is no {self.path}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise HelixError(f"{self.path}: cannot be read: {error}") from None
        try:
            data = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise self._syntax(error) from None
        self._check_shape(data)
        self._check_values(data, name)
        self.name = name
        self.description = data["profile"]["description"]
        self.built_in = data["modules"]["built_in"]
        self.mib = data["memory"]["mib"]
        words = [data["boot"]["cmdline"].strip(), f"init={data['boot']['first_program']}"]
        self.cmdline = " ".join(word for word in words if word)

    def _syntax(self, error):
        match = re.search(r"^(.*) \(at line (\d+), column \d+\)$", str(error))
        what, line = (match[1], match[2]) if match else (str(error), self._text.count("\n") + 1)
        return HelixError(f"{self.path}:{line}: {what}")

    def _line(self, table, key=None):
        """Line of [table], or of its key; 1 when the text spells it in a way we do not follow."""
        current, found = None, 1
        for number, line in enumerate(self._text.splitlines(), 1):
            head = re.match(r"\s*\[\s*\"?([\w-]+)\"?\s*\]", line)
            if head:
                current = head[1]
                if current == table:
                    found = number
            match = re.match(r"\s*\"?([\w-]+)\"?\s*=", line)
            if match and key is not None and match[1] == key and current == table:
                return number
            if match and current is None and key is None and match[1] == table:
                return number
        return found

    def _error(self, message, table, key=None):
        return HelixError(f"{self.path}:{self._line(table, key)}: {message}")

    def _check_shape(self, data):
        for table, value in data.items():
            if table not in KEYS:
                raise self._error(f"unknown table [{table}]; tables: {', '.join(KEYS)}", table)
            if not isinstance(value, dict):
                raise self._error(f"'{table}' is a table: write [{table}]", table)
            for key in value:
                if key not in KEYS[table]:
                    known = ", ".join(KEYS[table])
                    raise self._error(f"unknown key '{key}' in [{table}]; keys: {known}",
                                      table, key)
        for table, keys in KEYS.items():
            for key, (kind, spelled) in keys.items():
                if key not in data.get(table, {}):
                    raise self._error(f"[{table}] needs '{key}', {spelled}", table)
                value = data[table][key]
                if not isinstance(value, kind) or isinstance(value, bool):
                    raise self._error(f"'{key}' is {spelled}", table, key)

    def _check_values(self, data, name):
        if data["profile"]["name"] != name:
            raise self._error(f"'name' is the folder's name, '{name}'", "profile", "name")
        mib = data["memory"]["mib"]
        if not 16 <= mib <= 1 << 20:
            raise self._error(f"'mib' is 16 to {1 << 20}, not {mib}", "memory", "mib")
        seen = set()
        for module in data["modules"]["built_in"]:
            if not isinstance(module, str) or not NAME.fullmatch(module):
                raise self._error(f"{module!r} is not a module name", "modules", "built_in")
            if module in seen:
                raise self._error(f"module '{module}' is listed twice", "modules", "built_in")
            if not os.path.isdir(os.path.join(self._top, "modules", module)):
                raise self._error(f"there is no module '{module}' (modules/{module})",
                                  "modules", "built_in")
            seen.add(module)
        cmdline, program = data["boot"]["cmdline"], data["boot"]["first_program"]
        if not all(" " <= c <= "~" for c in cmdline):
            raise self._error("'cmdline' is printable ASCII on one line", "boot", "cmdline")
        if len(cmdline) > CMDLINE_MAX:
            raise self._error(f"'cmdline' is longer than {CMDLINE_MAX} characters",
                              "boot", "cmdline")
        if not NAME.fullmatch(program):
            raise self._error(f"{program!r} is not a program name", "boot", "first_program")
