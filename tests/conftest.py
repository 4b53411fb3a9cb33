"""The fixtures of every test, a file a subject."""

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.own_redis",
    "tests.fixtures.platform",
    "tests.fixtures.api",
    "tests.fixtures.artifacts",
    "tests.fixtures.models",
    "tests.fixtures.artifacts",
    "tests.fixtures.predictions",
    "tests.fixtures.serving",
    "tests.fixtures.jobs",
    "tests.fixtures.webhooks",
]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes and long texts after their argument: they are hard to read, and some differ by the clock.

    Every xdist worker collects the tests for itself, and all must find the same names.
    """
    is_unreadable = isinstance(val, bytes) or (isinstance(val, str) and len(val) > 30)
    return argname if is_unreadable else None
