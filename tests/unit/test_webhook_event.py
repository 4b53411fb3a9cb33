import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.webhooks.event import encode_event

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def test_an_event_has_a_type_a_timestamp_and_data():
    body = encode_event("job.succeeded", {"id": "1", "rows": 3}, timestamp=NOON)

    assert json.loads(body) == {
        "type": "job.succeeded",
        "timestamp": "2026-01-02T12:00:00Z",
        "data": {"id": "1", "rows": 3},
    }


def test_an_event_that_is_too_large_loses_its_bulkiest_fields_and_says_so():
    data = {"id": "1", "metadata": {"notes": "x" * 30_000}, "error": "y" * 19_000, "status": "failed"}

    body = encode_event("job.failed", data, timestamp=NOON)

    assert len(body) < 20_000
    assert json.loads(body)["data"].keys() == {"id", "status", "error", "omitted"}
    assert json.loads(body)["data"]["omitted"] == ["metadata"]


@given(st.dictionaries(st.text(max_size=20), st.integers(0, 30_000).map(lambda n: "z" * n), max_size=5))
def test_no_event_is_20_kb_or_more(data: dict[str, str]):
    assert len(encode_event("job.failed", data, timestamp=NOON)) < 20_000
