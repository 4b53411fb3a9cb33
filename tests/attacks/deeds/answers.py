"""Answers what no honest model answers. Each is the model's `predict`, whose result the host sends on."""

import sys

import numpy as np

MIB = 1024 * 1024


def a_gigabyte(planted, X):
    return np.array([["x" * (128 * MIB)] * 8] * len(X), dtype=object)


def more_than_a_frame_holds(planted, X):
    return np.array(["x" * (65 * MIB)], dtype=object)


def wrong_length(planted, X):
    return np.zeros(len(X) + 1)


def no_rows(planted, X):
    return np.zeros(0)


def nothing(planted, X):
    return None


def not_a_number(planted, X):
    return np.array([np.nan] * len(X))


def infinite(planted, X):
    return np.array([np.inf] * len(X))


def objects(planted, X):
    class Evil:
        def __repr__(self):
            raise SystemExit(1)

        __str__ = __repr__

        def item(self):
            return self

    return np.array([Evil() for _ in X], dtype=object)


def a_class_of_its_own(planted, X):
    """Text whose class speaks for itself."""

    class Text(str):
        __slots__ = ()

        def __str__(self):
            raise SystemExit(1)

    return np.array([Text("text")] * len(X), dtype=object)


def too_many_dimensions(planted, X):
    return np.zeros((len(X), *([1] * 30)))


def a_list_in_itself(planted, X):
    endless: list = []
    endless.append(endless)
    answer = np.empty(len(X), dtype=object)
    answer[:] = [endless] * len(X)
    return answer


def a_huge_integer(planted, X):
    return np.array([10**400] * len(X), dtype=object)


def half_a_character(planted, X):
    """A surrogate, which UTF-8 cannot write."""
    return np.array(["\ud800"] * len(X), dtype=object)


def a_huge_error(planted, X):
    raise ValueError("x" * (64 * MIB))


def an_error_that_fights_back(planted, X):
    class Evil(Exception):
        def __str__(self):  # noqa: PLE0307  it does not come to that
            sys.exit("its words end the host")

    raise Evil


def an_error_of_its_own_kind(planted, X):
    class Evil(BaseException):
        pass

    raise Evil("\x1b[2J<script>alert(1)</script>\r\nSet-Cookie: pwned=1")


def a_stop_of_the_iteration(planted, X):
    raise StopIteration


def an_interrupt(planted, X):
    raise KeyboardInterrupt


def a_recursion(planted, X):
    return a_recursion(planted, X)


def a_flood_of_words(planted, X):
    """What it prints must neither fill a memory nor stop anybody."""
    for _ in range(64):
        sys.stdout.write("\xff\x00\x1b]0;pwned\x07" * 100_000)
    print("REACHED", flush=True)  # noqa: T201
    return np.array(["nothing"] * len(X), dtype=object)
