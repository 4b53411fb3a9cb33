"""The fixtures of every test, a file a subject."""

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.platform",
    "tests.fixtures.api",
    "tests.fixtures.models",
    "tests.fixtures.predictions",
    "tests.fixtures.jobs",
    "tests.fixtures.webhooks",
]
