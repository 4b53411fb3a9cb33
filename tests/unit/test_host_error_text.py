"""Errors of models, as their owners may see them."""

import pytest

from workers.host.error_text import describe, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no file /srv/models/a.csv here", "no file (path) here"),
        ("open '/etc/passwd'", "open '(path)'"),
        (r"C:\Users\me\model.pkl is missing", "(path) is missing"),
        ("~/secrets/key", "(path)"),
        ("expected n/a or 3/4 of x", "expected n/a or 3/4 of x"),
        ("<Model object at 0x7f00aa>", "<Model object>"),
        ("two\nlines\x1b[31m", "two lines [31m"),
    ],
)
def test_paths_addresses_and_control_characters_are_taken_out(text, expected):
    assert shown(text) == expected


def test_long_texts_are_cut():
    assert len(shown("x" * 10_000)) == 501


def test_an_error_whose_text_fails_is_named_all_the_same():
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    assert describe(Odd()) == "Odd"
