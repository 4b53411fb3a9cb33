"""The fixtures of every test, a file a subject."""

import os

from shared.garbage import spare_garbage_collection

# One thread a pool, as in model hosts: threads of many tests that wait for each other by spinning take
# whole seconds from a machine of two cores. Read as numpy and OpenMP are loaded, thus here, before all.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

pytest_plugins = [
    "tests.fixtures.order",
    "tests.fixtures.servers",
    "tests.fixtures.object_store",
    "tests.fixtures.other_host",
    "tests.fixtures.own_redis",
    "tests.fixtures.platform",
    "tests.fixtures.api",
    "tests.fixtures.teams",
    "tests.fixtures.artifacts",
    "tests.fixtures.models",
    "tests.fixtures.predictions",
    "tests.fixtures.serving",
    "tests.fixtures.jobs",
    "tests.fixtures.turns",
    "tests.fixtures.belongings",
    "tests.fixtures.webhooks",
    "tests.fixtures.browsers",
    "tests.fixtures.own_internet",
    "tests.fixtures.webhook_owner",
    "tests.fixtures.file_server",
    "tests.fixtures.oidc",
]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes and long texts after their argument: they are hard to read, and some differ by the clock.

    Every xdist worker collects the tests for itself, and all must find the same names.
    """
    is_unreadable = isinstance(val, bytes) or (isinstance(val, str) and len(val) > 30)
    return argname if is_unreadable else None


def pytest_collection_finish() -> None:
    """What was imported and collected stays: a seventh of the tests' time went into looking it through.

    And as API processes do, look less often: every test of the API makes the objects of an application.
    """
    spare_garbage_collection()
