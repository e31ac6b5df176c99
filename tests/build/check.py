# SPDX-License-Identifier: MIT
"""Each crime that `./helix check` catches, committed in a copy of the tree."""
from hosttools.suites import each, load

tree = load("tests/build/copy.py")
TAG = "/* SPDX-License-Identifier: MIT */\n"

CRIMES = {
    "arch_if": ("core/crime.c", TAG + "#if defined(__x86_64__)\nint crime;\n#endif\n",
                "core/crime.c:2: a condition on the architecture"),
    "arch_ifdef": ("subsystems/crime.h", TAG + "#ifdef __aarch64__\n#endif\n",
                   "subsystems/crime.h:2: a condition on the architecture"),
    "arch_elif": ("user/crime.c", TAG + "#if 0\n#elif __amd64__\n#endif\n",
                  "user/crime.c:3: a condition on the architecture"),
    "arch_continued": ("core/crime.c", TAG + "#if 1 && \\\n    __ARM_ARCH > 7\n#endif\n",
                       "core/crime.c:2: a condition on the architecture"),
    "include_climbs": ("core/crime.c", TAG + "#include <core/../../fs/include/fs/x.h>\n",
                       "core/crime.c:2: include of core/../../fs/include/fs/x.h"),
    "include_quoted_climb": ("core/crime.c", TAG + '#include "../hal/x.h"\n',
                             "core/crime.c:2: include of ../hal/x.h"),
    "include_absolute": ("boot/x86_64/crime.asm", "; SPDX-License-Identifier: MIT\n"
                         '%include "/etc/x.inc"\n', "boot/x86_64/crime.asm:2: include of /etc"),
    "include_macro": ("core/crime.c", TAG + "#include WHAT\n", "core/crime.c:2: an include of a"),
    "ground_floor": ("include/helix/crime.h", TAG + "#include <core/log.h>\n",
                     "include/helix/crime.h:2: include of core/log.h"),
    "ground_floor_port": ("include/helix/crime.h", TAG + "#include <port/inline.h>\n",
                          "include/helix/crime.h:2: include of port/inline.h"),
    "no_licence": ("core/crime.c", "int crime;\n", "core/crime.c:1: no 'SPDX"),
    "no_licence_script": ("tools/crime.py", "print()\n", "tools/crime.py:1: no 'SPDX"),
    "vague": ("core/crime.c", TAG + "/* Good enough for now. */\n", "core/crime.c:2: 'for now'"),
    "bare_todo": ("core/crime.c", TAG + "/* TODO: more. */\n", "core/crime.c:2: 'TODO'"),
    "format": ("core/crime.c", TAG + "int  crime( void ) ;\n", "core/crime.c:2: clang-format"),
    "clang_tidy": ("core/crime.c", TAG + "int crime(void);\nint crime(void)\n{\n"
                   "    int *p = 0;\n    return *p;\n}\n",
                   "[clang-analyzer-core.NullDereference"),
    "cppcheck": ("core/crime.c", TAG + "int crime(void);\nint crime(void)\n{\n    int a[2];\n"
                 "    a[0] = a[1] = 1;\n    return a[2];\n}\n", "[arrayIndexOutOfBounds]"),
    "python": ("tools/crime.py", "# SPDX-License-Identifier: MIT\ndef f(:\n", "tools/crime.py:2:"),
    "shell": ("tools/crime.sh", "# SPDX-License-Identifier: MIT\nif true; then\n",
              "tools/crime.sh"),
}


@each(**{name: {"crime": crime} for name, crime in CRIMES.items()})
def test_catches(t, crime):
    path, text, complaint = crime
    top = tree.copy_tree(f"{t.tmp}/tree")
    tree.write(top, path, text)
    done = t.helix("check", "--no-install", cwd=top)
    assert done.returncode == 1, done.stdout + done.stderr
    assert complaint in done.stdout, f"{complaint!r} not in {done.stdout}"
    assert done.stderr.startswith("helix: check: ") and done.stderr.count("\n") == 1, done.stderr


def test_finds_nothing_in_this_tree(t):
    done = t.helix("check", "--all", "--no-install", timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


def test_lets_good_code_pass(t):
    top = tree.copy_tree(f"{t.tmp}/tree")
    tree.write(top, "core/fine.c", TAG + "int fine(int a);\n\nint fine(int a)\n{\n"
               "    return a + 1;\n}\n")
    tree.write(top, "hal/x86_64/fine.h", TAG + "#if defined(__x86_64__)\n#endif\n")
    done = t.helix("check", "--no-install", cwd=top)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "check: 2 files" in done.stdout, done.stdout


def test_catches_a_layer_that_sees_above(t):
    """The proof by compiling fails when the table of layers leaks, so it proves something."""
    top = tree.copy_tree(f"{t.tmp}/tree")
    tree.edit(top, "site_scons/site_tools/layers.py", '("hal/{arch}/include",)',
              '("hal/{arch}/include", "fs/include")')
    done = t.helix("check", "--no-install", cwd=top)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a file of hal can include fs" in done.stdout, done.stdout


@each(hal={"low": "hal/x86_64", "include": "core/log.h"},
      boot={"low": "boot/x86_64", "include": "core/log.h"})
def test_upward_include_of_a_real_header_stops_the_build(t, low, include):
    top = tree.copy_tree(f"{t.tmp}/tree")
    tree.write(top, f"{low}/crime.c", TAG + f"#include <{include}>\n")
    tree.edit(top, f"{low}/SConscript", 'Return("objects")',
              'objects += layer.objects("crime.c")\nReturn("objects")')
    target = f"build/x86_64/debug/obj/{low}/crime.o"
    done = t.run("/usr/bin/scons", "-Q", "variant=debug", target, cwd=top)
    assert done.returncode != 0, "an upward include compiled"
    assert f"{include}: No such file" in done.stderr, done.stderr
    tree.write(top, f"{low}/crime.c", TAG + "#include <helix/types.h>\nextern int crime;\n")
    done = t.run("/usr/bin/scons", "-Q", "variant=debug", target, cwd=top)
    assert done.returncode == 0, f"the same file without the include: {done.stderr}"
