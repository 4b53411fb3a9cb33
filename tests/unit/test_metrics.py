"""Metrics: what code counts, how processes' counts become one, and how that reads."""

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.metrics.exchange import Everything, Snapshot, sum_of
from shared.metrics.exposition import exposition
from shared.metrics.family import MAX_SERIES, Family, Kind, merge
from shared.metrics.metric import MetricMisused
from shared.metrics.registry import Registry
from shared.metrics.totals import totals


@pytest.fixture
def registry() -> Registry:
    return Registry()


def parsed(families) -> dict[tuple, float]:
    """What Prometheus would read."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition(families))
        for sample in family.samples
    }


def told(*families: Family, process: str = "a", at_ms: int = 0) -> Snapshot:
    return Snapshot(kind="api", process=process, at_ms=at_ms, families=list(families))


def numbered(value: float, **changes) -> Family:
    usual = {"name": "modelyard_x_total", "kind": Kind.COUNTER, "help": "X.", "values": {(): [value]}}
    return Family(**usual | changes)


def test_a_counter_reads_as_it_was_counted(registry):
    requests = registry.counter("modelyard_requests_total", "Requests.", labels=("route",))

    requests.inc(labels=("/a",))
    requests.inc(2, labels=("/a",))

    assert parsed(registry.families()) == {("modelyard_requests_total", ("route", "/a")): 3}


def test_what_has_no_labels_is_there_from_the_start(registry):
    registry.counter("modelyard_failures_total", "Failures.")

    assert parsed(registry.families()) == {("modelyard_failures_total",): 0}


def test_a_histogram_counts_up_to_each_bound(registry):
    seconds = registry.histogram("modelyard_seconds", "Time.", bounds=(0.1, 1))

    for value in (0.05, 0.1, 0.5, 3):
        seconds.observe(value)

    assert parsed(registry.families()) == {
        ("modelyard_seconds_bucket", ("le", "0.1")): 2,
        ("modelyard_seconds_bucket", ("le", "1")): 3,
        ("modelyard_seconds_bucket", ("le", "+Inf")): 4,
        ("modelyard_seconds_sum",): 3.65,
        ("modelyard_seconds_count",): 4,
    }


def test_any_text_survives_in_a_label(registry):
    odd = 'a "quote", a \\ and a\nline'
    registry.counter("modelyard_odd_total", "Odd \\ \n.", labels=("text",)).inc(labels=(odd,))

    assert parsed(registry.families()) == {("modelyard_odd_total", ("text", odd)): 1}


def test_threads_do_not_lose_each_others_counts(registry):
    counter = registry.counter("modelyard_x_total", "X.")
    threads = [threading.Thread(target=lambda: [counter.inc() for _ in range(20_000)]) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert parsed(registry.families()) == {("modelyard_x_total",): 80_000}


def test_labels_past_the_bound_are_one_series(registry):
    requests = registry.counter(
        "modelyard_requests_total", "Requests.", labels=("route", "status"), open_labels=1
    )

    for number in range(MAX_SERIES + 5):
        requests.inc(labels=(f"/{number}", "200"))

    found = parsed(registry.families())
    assert len(found) == MAX_SERIES + 1
    assert found["modelyard_requests_total", ("route", "other"), ("status", "200")] == 5


def test_asking_twice_for_a_metric_gives_the_same(registry):
    assert registry.counter("modelyard_x_total", "X.") is registry.counter("modelyard_x_total", "X.")


@pytest.mark.parametrize("name", ["requests_total", "modelyard_Requests_total", "modelyard_requests"])
def test_a_name_against_the_rules_is_refused(registry, name):
    with pytest.raises(MetricMisused):
        registry.counter(name, "X.")


def test_one_name_for_two_metrics_is_refused(registry):
    registry.counter("modelyard_x_total", "X.")

    with pytest.raises(MetricMisused):
        registry.counter("modelyard_x_total", "X.", labels=("route",))


def test_wrong_labels_are_refused(registry):
    with pytest.raises(MetricMisused):
        registry.counter("modelyard_x_total", "X.").inc(labels=("surplus",))


def test_counters_of_all_who_ever_lived_add_up():
    everything = Everything(living=[told(numbered(1)), told(numbered(2))], departed=[told(numbered(4))])

    assert parsed(totals(everything)) == {("modelyard_x_total",): 7}


def test_a_gauge_ends_with_its_process():
    gauge = {"name": "modelyard_loaded", "kind": Kind.GAUGE}
    everything = Everything(
        living=[told(numbered(1, **gauge)), told(numbered(2, **gauge))], departed=[told(numbered(4, **gauge))]
    )

    assert parsed(totals(everything)) == {("modelyard_loaded",): 3}


def test_a_gauge_of_each_process_says_whose_it_is():
    memory = numbered(5, name="modelyard_memory_bytes", kind=Kind.GAUGE, each=True)
    everything = Everything(living=[told(memory, process="a"), told(memory, process="b")], departed=[])

    assert parsed(totals(everything)) == {
        ("modelyard_memory_bytes", ("kind", "api"), ("process", "a")): 5,
        ("modelyard_memory_bytes", ("kind", "api"), ("process", "b")): 5,
    }


def test_processes_of_two_releases_do_not_spoil_each_other():
    newer = numbered(2, labels=("reason",), values={("disk",): [2]})

    assert parsed(merge([numbered(1), newer])) == {("modelyard_x_total",): 1}


def test_past_the_bound_the_oldest_models_become_one_and_nothing_falls():
    def of(numbers) -> Family:
        values = {(f"{number:04}",): [1.0] for number in numbers}
        return numbered(0, labels=("model",), open_labels=1, values=values)

    before = parsed(merge([of(range(MAX_SERIES))]))
    after = parsed(merge([of(range(MAX_SERIES)), of(range(MAX_SERIES, MAX_SERIES + 3))]))

    assert after["modelyard_x_total", ("model", "other")] == 3
    assert len(after) == MAX_SERIES + 1
    assert sum(after.values()) == sum(before.values()) + 3


def test_the_sum_of_the_departed_counts_what_they_counted():
    summed = sum_of([told(numbered(1)), told(numbered(2))])

    assert parsed(totals(Everything(living=[], departed=[summed]))) == {("modelyard_x_total",): 3}
