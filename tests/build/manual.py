# SPDX-License-Identifier: MIT
"""The manual of the system calls: made from the table, and nothing of the table left out."""
from hosttools import calls
from hosttools.errors import HelixError


def texts():
    result = []
    for path in (calls.TABLE, calls.WORDS):
        with open(path, encoding="utf-8") as file:
            result.append(file.read())
    return result


def test_every_call_has_a_page_with_words(t):
    table, words = texts()
    manual, silent = calls.manual(table, words)
    assert not silent, f"{calls.WORDS} says nothing of {', '.join(silent)}"
    names = [name for _, name, _ in calls.table(table)]
    assert len(names) > 25 and len(set(names)) == len(names)
    assert all(f"hx_sys_{name}(" in manual for name in names)


def test_the_table_is_read_as_it_stands(t):
    """Numbers rise, no line is lost, and a page says what its line says."""
    table, words = texts()
    found = calls.table(table)
    numbers = [number for number, _, _ in found]
    assert numbers == sorted(set(numbers))
    assert len(found) == table.count("    X(")
    manual = calls.manual(table, words)[0]
    wait = manual.split("process_wait (13)")[1].split("-" * 80)[0]
    for text in ("process: handle to HX_OBJECT_PROCESS, needs HX_RIGHT_WAIT", "HX_ERR_BAD_HANDLE",
                 "HX_ERR_ACCESS", "HX_ERR_REVOKED", "status: written, 8 bytes", "HX_ERR_TIMED_OUT"):
        assert text in wait, wait


def test_words_about_no_call_are_refused(t):
    table, words = texts()
    try:
        calls.manual(table, words + "\n= no_such_call\nDoes what nobody knows.\n")
    except HelixError as error:
        assert "no_such_call" in str(error)
    else:
        raise AssertionError("accepted")
