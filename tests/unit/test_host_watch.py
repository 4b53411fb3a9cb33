"""Which hosts are ended for what they do unasked."""

from workers.host.cell import limits
from workers.hosting.watch import Usage, Watch


def look(watch: Watch, usages: list[tuple[float, float]], *, idle: bool) -> str | None:
    """What the last of some looks, each at a second and with the CPU used by then, says."""
    fault = None
    for at, cpu_s in usages:
        fault = watch.look(Usage(cpu_s, 1, at), idle=idle)
    return fault


def test_a_host_that_computes_while_idle_is_ended_also_where_it_gets_a_tenth_of_a_core():
    assert "nobody asks" in (look(Watch(), [(at, at / 10) for at in range(60)], idle=True) or "")


def test_a_host_that_computes_when_asked_is_left_alone():
    assert look(Watch(), [(at, float(at)) for at in range(60)], idle=False) is None


def test_a_little_housekeeping_is_left_alone_for_ever():
    assert look(Watch(), [(at, at / 25) for at in range(100_000)], idle=True) is None


def test_a_burst_after_a_call_is_left_alone():
    assert look(Watch(), [(0, 0.0), (2, 1.9), (4, 1.9)], idle=True) is None


def test_a_host_with_too_many_threads_is_ended():
    assert Watch().look(Usage(0.0, limits.threads(), 0.0), idle=False) is None
    assert "threads" in (Watch().look(Usage(0.0, limits.threads() + 1, 0.0), idle=False) or "")
