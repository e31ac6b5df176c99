# SPDX-License-Identifier: MIT
"""The user-mode shell: quoting, pipes, redirection, jobs, files; editing over the serial line."""
import hashlib
import json
import re
import time

from hosttools.suites import arches

PROMPT = r"helix> "


def lines(t, arch, *commands, **keywords):
    """What each command prints when they run in one boot, one after the other."""
    mark = "--- next ---"
    result = t.exec(f"; echo '{mark}'; ".join(commands), arch=arch, **keywords)
    parts = result.output.split(mark + "\n")
    assert len(parts) == len(commands), (result.output, result.panic or result.log)
    return parts


@arches
def test_pipes_and_redirection(t, arch):
    parts = lines(
        t, arch,
        "echo one two | wc",
        "echo hello > /f; cat /f; echo again >> /f; cat < /f | grep again",
        "cat /nosuch 2> /err; echo $?; cat /err",
        "cat /nosuch 2>&1 | wc",
        "ps | grep init | head -n 1 | wc > /n; cat /n",
        "help | grep '^x' ; echo $?",
        "cat /dev/zero | head -n 0; echo $?",
        "echo a > /x > /y; cat /x; cat /y",
        "> /empty; stat --json /empty",
        "echo in | cat | cat | cat | cat")
    assert parts[0].split() == ["1", "2", "8"], parts[0]
    assert parts[1] == "hello\nagain\n", parts[1]
    assert parts[2].startswith("1\ncat: /nosuch: "), parts[2]
    assert parts[3].split()[0] == "1", parts[3]
    assert parts[4].split()[0] == "1", parts[4]
    assert parts[5] == "1\n", parts[5]
    assert parts[6] == "0\n", parts[6]
    assert parts[7] == "a\n", parts[7]
    assert json.loads(parts[8])["bytes"] == 0, parts[8]
    assert parts[9] == "in\n", parts[9]


@arches
def test_quoting_and_variables(t, arch):
    parts = lines(
        t, arch,
        "set v 'a  b'; echo \"$v\" '$v' ${v}c $nosuch.",
        "set e=1; env | grep '^e'; unset e; echo $e.",
        "echo a\\ b ';' \"|\" '&'")
    assert parts[0] == "a  b $v a  bc .\n", parts[0]
    assert parts[1].endswith(".\n"), parts[1]
    assert parts[2] == "a b ; | &\n", parts[2]


@arches
def test_a_line_that_cannot_be_understood_runs_nothing(t, arch):
    for line in ("echo no 'open", "echo no |", "echo no && && echo", "echo no >"):
        result = t.exec(line, arch=arch)
        assert result.status == 2 and "no\n" not in result.output, (line, result.output)


@arches
def test_jobs(t, arch):
    line = "spin & spin --ms 1 & jobs; kill %1; wait %1; echo $?; wait; echo $?; jobs"
    result = t.exec(line, arch=arch)
    assert "running" in result.output and result.output.endswith("126\n0\n"), result.output
    result = t.exec("spin --ms 5 | cat & wait; echo $! $?; wait %7; echo $?; kill %7; echo $?",
                    arch=arch)
    assert "1 0\n" in result.output and "127\n" in result.output, result.output
    assert result.output.endswith("1\n"), result.output


@arches
def test_time_and_prof_run_a_command(t, arch):
    result = t.exec("time sleep 20; prof spin --ms 60", arch=arch)
    took = re.search(r"^(\d+)\.(\d{6}) s$", result.output, re.MULTILINE)
    assert took and 0.02 <= float(f"{took[1]}.{took[2]}") < 20, result.output
    assert re.search(r"^\s+\d+\s+[\d.]+\s+user mode: tools$", result.output, re.MULTILINE), \
        result.output


@arches
def test_files(t, arch):
    parts = lines(
        t, arch,
        "mkdir -p /a/b/c; write /a/b/c/f hello; ls /a/b/c; cat /a/b/c/f",
        "cp /a/b/c/f /a/g; mv /a/g /a/h; cat /a/h; ls /a",
        "cp -r /a /z; cat /z/b/c/f; rm -r /a; ls /a; echo $?",
        "ln -s /z/h /l; cat /l; ln /z/h /hard; stat --json /hard",
        "chmod 640 /hard; ls -l /hard",
        "cp /hard /hard; echo $?; cp -r /z /z/in; echo $?; cat /hard",
        "rmdir /z; echo $?; rm /nosuch; echo $?; rm -f /nosuch; echo $?",
        "write /s abc; write -a /s def; hexdump /s",
        "df; mount; du /z; fsinfo /; sync; echo $?",
        "ls --json /bin",
        "echo -n abc; write /abc 'abc'; sha256sum /abc; cat /bin/shell | sha256sum",
        "cat /bin/shell | wc; sha256sum /nosuch; echo $?")
    assert parts[0] == "f\nhello\n", parts[0]
    assert parts[1] == "hello\nb\nh\n", parts[1]
    assert parts[2].startswith("hello\nls: /a: ") and parts[2].endswith("\n1\n"), parts[2]
    assert parts[3].startswith("hello\n") and json.loads(parts[3][6:])["links"] == 2, parts[3]
    assert parts[4].startswith("-rw-r-----"), parts[4]
    assert re.fullmatch(r"cp: .*\n1\ncp: .*\n1\nhello\n", parts[5]), parts[5]
    assert re.fullmatch(r"rmdir: .*\n1\nrm: .*\n1\n0\n", parts[6]), parts[6]
    assert parts[7] == "00000000  61 62 63 0a 64 65 66 0a" + " " * 24 + "  abc.def.\n", parts[7]
    assert "ramfs" in parts[8] and "/proc" in parts[8] and parts[8].endswith("0\n"), parts[8]
    path = f"build/{arch}/{t.variant}/user/bin/shell"
    with open(path, "rb") as file:
        program = file.read()
    wanted = [hashlib.sha256(b"abc\n").hexdigest() + "  /abc",
              hashlib.sha256(program).hexdigest() + "  -"]
    assert parts[10].splitlines()[1:] == wanted, parts[10]
    assert parts[11].split()[2] == str(len(program)) and parts[11].endswith("\n1\n"), parts[11]
    names = {json.loads(line)["name"] for line in parts[9].splitlines()}
    assert {"init", "shell", "tools", "hello"} <= names, names


@arches
def test_listings_are_json(t, arch):
    commands = ["ps", "irq", "cpu", "health", "dmesg", "uptime", "version", "env", "jobs", "df",
                "mount", "stat /bin", "ls /", "top --ms 5"]
    for command, part in zip(commands, lines(t, arch, *(f"{c} --json" for c in commands))):
        assert part.strip() or command in ("jobs", "top --ms 5"), command
        for line in part.splitlines():
            json.loads(line)


@arches
def test_a_script_comes_in_by_a_pipe(t, arch):
    result = t.exec("write /script 'echo one'; write -a /script 'echo two; exit 5; echo no'; "
                    "run shell < /script; echo $?", arch=arch)
    assert result.output == "one\ntwo\n5\n", result.output


@arches
def test_a_console_session(t, arch):
    """Completion, history, input for programs, ^C, background jobs: typed, as a person would."""
    guest = t.boot(arch=arch)
    guest.expect(PROMPT)
    guest.send("ec\tcompleted\r")
    guest.expect(r"^completed\r?$")
    guest.expect(PROMPT)
    guest.send("cat /bi\thel\t | wc\r")
    guest.expect(r"^\s+\d+\s+\d+\s+\d+\r?$")
    guest.expect(PROMPT)
    guest.send("echo ready; cat\r")
    guest.expect(r"^ready\r?$")
    time.sleep(1)                           # what is typed before it runs is for the shell
    guest.send("typed lixe\x7f\x7fne\r")
    guest.expect(r"^typed line\r?$")        # the answer; the echo has what was erased in it
    guest.send("\x04")
    guest.expect(PROMPT)
    guest.send("spin\r")
    time.sleep(1)
    guest.send("\x03")
    guest.expect(r"killed")
    guest.expect(PROMPT)
    guest.send("echo $?\r")
    guest.expect(r"^126\r?$")
    guest.expect(PROMPT)
    guest.send("top -n 1000\r")             # a command of the kernel ends by ^C as well
    guest.expect(r"cpu-%")
    guest.send("\x03")
    guest.expect(PROMPT)
    guest.send("sleep 50 & sleep 1\r")
    guest.expect(r"\[1\]")
    guest.expect(PROMPT)
    guest.send("wait; echo done $?\r")
    guest.expect(r"^done 0\r?$")
    guest.expect(PROMPT)
    guest.send("history\r")
    guest.expect(r"1  echo completed")
    guest.expect(PROMPT)
    guest.send("exit\r")                    # init starts another
    guest.expect(PROMPT)
    guest.send("echo back\r")
    guest.expect(r"^back\r?$")
    guest.expect(PROMPT)
    guest.send("poweroff\r")
    assert guest.wait(20) == 0 and not guest.timed_out


@arches
def test_without_a_first_program_the_kernel_answers(t, arch):
    guest = t.boot(arch=arch, cmdline="init=nosuch")
    guest.expect("kernel> ")
    guest.send("vers\x7fsion\r")
    guest.expect(r"^Helix ")
    guest.expect("kernel> ")
    guest.send("nonsense\r")
    guest.expect("no such command")
    guest.send("poweroff\r")
    assert guest.wait(20) == 0 and not guest.timed_out
