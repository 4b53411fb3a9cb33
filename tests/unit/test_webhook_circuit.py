import pytest

from shared.webhooks.circuit import pause_s
from shared.webhooks.errors import UnknownEvents
from shared.webhooks.events import checked_events


def test_a_pause_doubles_with_every_failure_up_to_ten_minutes():
    pauses = [pause_s(failures) for failures in (5, 6, 7, 8, 9, 10, 11, 100_000)]

    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]


def test_events_are_named_once_and_none_are_all():
    assert checked_events(["job.failed", "model.ready", "job.failed"]) == ["job.failed", "model.ready"]
    assert checked_events(None) == checked_events([]) == []


def test_each_name_that_is_unknown_is_pointed_at():
    with pytest.raises(UnknownEvents, match=r"job\.succeeded.*model\.degraded") as refusal:
        checked_events(["job.failed", "job.done", "*"])

    assert [fault.pointer for fault in refusal.value.errors] == ["/events/1", "/events/2"]
