"""The page of metrics holds every metric that a process tells."""

import importlib
import re
from pathlib import Path

import pytest

from shared.analytics.overall import Overall
from shared.metrics.process import ProcessMetrics
from shared.metrics.registry import registry

PAGE = (Path(__file__).parents[2] / "docs/reference/metrics.md").read_text()


@pytest.fixture
def told() -> set[str]:
    for module in (
        "api.http_metrics",
        "shared.analytics.recorder",
        "shared.limits.limiter",
        "workers.hosting.telling",
        "workers.predict.metrics",
    ):
        importlib.import_module(module)
    families = [*registry.families(), *ProcessMetrics("api").families(), *Overall().families()]
    return {family.name for family in families}


def test_every_metric_is_explained_and_no_other(told: set[str]):
    assert set(re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE)) == told
