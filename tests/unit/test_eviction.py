"""Which versions leave a full worker."""

from uuid import UUID

from workers.predict.eviction import Standing, victims

NOW = 1000.0
MB = 1024 * 1024


def version(number: int, *, used_s_ago: float, **more) -> Standing:
    given = {"memory_bytes": 10 * MB, "loaded_at": NOW - 500} | more
    return Standing(version_id=UUID(int=number), last_used=NOW - used_s_ago, **given)


def leaving(*standings: Standing, places: int = 0, memory_bytes: int = 0) -> list[int]:
    gone = victims(standings, places=places, memory_bytes=memory_bytes, now=NOW)
    return [version_id.int for version_id in gone]


def test_nobody_leaves_while_there_is_room():
    assert leaving(version(1, used_s_ago=400), places=-3, memory_bytes=-MB) == []


def test_the_version_used_longest_ago_leaves_first():
    cold, warm, hot = (version(n, used_s_ago=s) for n, s in ((1, 300), (2, 30), (3, 0.1)))

    assert leaving(hot, cold, warm, places=2) == [1, 2]


def test_as_many_leave_as_memory_needs():
    cold, warm, hot = (version(n, used_s_ago=s) for n, s in ((1, 300), (2, 30), (3, 0.1)))

    assert leaving(hot, cold, warm, memory_bytes=15 * MB) == [1, 2]


def test_a_version_that_somebody_waits_for_leaves_last():
    waited_for = version(1, used_s_ago=300, waiting_rows=1)

    assert leaving(waited_for, version(2, used_s_ago=1), places=1) == [2]
    assert leaving(waited_for, places=1) == [1]


def test_a_pinned_version_never_leaves():
    assert leaving(version(1, used_s_ago=300, pinned=True), places=1, memory_bytes=MB) == []


def test_a_version_just_loaded_answers_those_who_waited_before_it_leaves():
    fresh = version(1, used_s_ago=1.5, loaded_at=NOW - 1, awaited=True)
    answered = version(2, used_s_ago=0.5, loaded_at=NOW - 1, awaited=True)

    assert leaving(fresh, places=1) == []
    assert leaving(answered, places=1) == [2]


def test_a_version_that_nobody_came_for_after_all_leaves_soon():
    assert leaving(version(1, used_s_ago=4, loaded_at=NOW - 3, awaited=True), places=1) == [1]
