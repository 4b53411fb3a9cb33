"""Files that attack by what they say: as they are opened, and by their size."""

from types import SimpleNamespace

import pytest

from tests.attacks.archives import archives, onnx_graphs, texts
from tests.attacks.artifacts import bombs, gadgets, places
from tests.attacks.estimator import REACHED

LOAD_S = 5.0  # what takes longer is ended, and has not been reached by anybody else
ENDLESS_S = 1.0  # for what would never end: waiting longer shows no more
ENDLESS = {"power", "endless_loop"}
NAMES = ("secret_file", "other_model", "own_file", "folder", "code", "name", "unix_path")
SOMEWHERE = SimpleNamespace(**dict.fromkeys(NAMES, ""), tcp_port=0, victim=0)
GRAPHS = ("data_outside", "of_160_gigabytes", "endless_loop", "cut_short", "of_an_unknown_domain")

# Code that was certainly run, unless the file was refused as what it is.
SAY_SO = {"builtins_exec", "builtins_eval", "python_2_names", "timeit", "cprofile", "profile", "numpy_f2py"}


def by_name(group):
    return pytest.mark.parametrize("name", group(SOMEWHERE))


def opened(attack, group, name):
    """What is told of one file of a group, opened as an upload is."""
    content = group(SimpleNamespace(**attack.facts()))[name]
    time_s = ENDLESS_S if name in ENDLESS else LOAD_S
    return attack.by(content() if callable(content) else content, probe=True, load_timeout_s=time_s, calls=0)


@by_name(gadgets)
def test_a_pickle_that_calls_what_is_installed_reaches_nothing(attack, name):
    told = opened(attack, gadgets, name)

    assert name not in SAY_SO or REACHED in told.heard or refused(told)


@by_name(places)
def test_a_call_is_no_more_dangerous_where_it_is_hidden(attack, name):
    told = opened(attack, places, name)

    assert (REACHED in told.heard) is (name != "a_second_stream") or refused(told)


@by_name(bombs)
def test_a_file_that_grows_when_it_is_opened_is_refused(attack, name):
    told = opened(attack, bombs, name)

    assert told.ended or "status='rejected'" in told.heard


@by_name(archives)
def test_an_archive_writes_nothing_and_runs_nothing(attack, name):
    told = opened(attack, archives, name)

    assert told.ended or "status='rejected'" in told.heard


@by_name(texts)
def test_a_text_with_impossible_sizes_is_refused(attack, name):
    told = opened(attack, texts, name)

    assert told.ended or "status='rejected'" in told.heard


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_reaches_nothing_and_takes_no_more_than_its_share(attack, name):
    told = opened(attack, onnx_graphs, name)

    assert told.ended or "status='rejected'" in told.heard


def refused(told) -> bool:
    """By what its bytes say, before anything of it was run."""
    return any(f"code='{code}'" in told.heard for code in ("not_a_model", "code_refused", "dangerous_pickle"))
