"""Which of several workers acts, as each of them finds out by itself."""

from uuid import UUID

from shared.predictions.placement import HeldVersion, WorkerState
from workers.predict.sharing import hosts_elsewhere, missing_here, yields

IRIS = UUID(int=1)


def worker(name: str, *, hosts: int = 0, loading: bool = False, room_for_pins: int = 5) -> WorkerState:
    held = [HeldVersion(version_id=IRIS, hosts=hosts)] if hosts else []
    return WorkerState(
        worker_id=name,
        capacity=6,
        versions=[IRIS] if hosts or loading else [],
        held=held,
        room_for_pins=room_for_pins,
    )


def starters(living: list[WorkerState], *, pins: int) -> set[str]:
    """The workers that find that they are to start a host."""
    return {s.worker_id for s in living if missing_here({IRIS: pins}, living, s.worker_id)}


def test_one_worker_starts_what_one_replica_needs():
    assert len(starters([worker("a"), worker("b"), worker("c")], pins=1)) == 1


def test_replicas_go_to_different_workers():
    assert starters([worker("a", hosts=1), worker("b"), worker("c")], pins=3) == {"b", "c"}


def test_a_lone_worker_starts_them_all_one_after_another():
    assert starters([worker("a", hosts=1)], pins=3) == {"a"}
    assert starters([worker("a", hosts=3)], pins=3) == set()


def test_what_is_being_loaded_counts():
    assert starters([worker("a", loading=True), worker("b")], pins=1) == set()


def test_a_worker_without_room_is_passed_over():
    assert starters([worker("a", room_for_pins=0), worker("b")], pins=1) == {"b"}
    assert starters([worker("a", room_for_pins=0)], pins=1) == set()


def test_pinned_versions_spread_over_the_workers():
    living = [worker(name) for name in ("a", "b", "c")]
    versions = {UUID(int=number): 1 for number in range(300)}

    shares = [len(missing_here(versions, living, state.worker_id)) for state in living]

    assert sum(shares) == 300
    assert min(shares) > 60


def test_of_several_holders_the_one_with_most_hosts_yields():
    living = [worker("a", hosts=1), worker("b", hosts=2), worker("c")]

    assert [yields(IRIS, living, name) for name in "abc"] == [False, True, False]


def test_of_equal_holders_exactly_one_yields():
    living = [worker("a", hosts=1), worker("b", hosts=1)]

    assert sum(yields(IRIS, living, name) for name in "ab") == 1


def test_hosts_of_other_workers_are_counted():
    living = [worker("a", hosts=1), worker("b", hosts=2), worker("c", loading=True)]

    assert hosts_elsewhere(IRIS, living, "a") == 3
