"""The same rows get the same answers of a real host, whatever format they come in."""

from typing import Any

import numpy as np
import pytest

from shared.catalog.verdict import Signature
from tests.fixtures.formats import Table, call_of, offline, online
from workers.hosting.process import HostProcess

FLOWERS: Table = [[5.1, 3.5, 1.4, 0.2], [6.7, 3, 5.2, 2.3], [0.1, 2.0**53, -0.0, 5e-324]]
# age, tenure_months, monthly_charge, contract, payment
CUSTOMERS: Table = [
    [41, 7, 29.5, "monthly", "card"],
    [None, 31, float("nan"), "yearly", None],
    [23.0, None, 1e308, 'with "quotes", and a comma', "größer"],
]


def answers(host: HostProcess, signature: Signature, rows: Table) -> dict[str, Any]:
    """Of every format that can say the rows, by its name."""
    found = {}
    for name, way in online(signature).items():
        body = way(rows)
        if body is not None:
            host.submit(call_of(signature, body))
            found[name] = list(host.receive(timeout_s=30).outputs["label"])
    for name, way in offline(signature).items():
        [(call, area)] = way(rows).calls
        host.slot(len(area))[:] = area
        host.submit(call)
        label = host.receive(timeout_s=30).outputs["label"]
        found[name] = label.tolist() if isinstance(label, np.ndarray) else label
    return found


@pytest.mark.parametrize(("model", "rows"), [("iris_on_frame", FLOWERS), ("churn_pipeline", CUSTOMERS)])
def test_a_prediction_does_not_depend_on_the_format(
    open_model, request: pytest.FixtureRequest, *, model: str, rows: Table
):
    host, verdict = open_model(request.getfixturevalue(model))

    found = answers(host, verdict.signature, rows)

    assert len(found) >= 8
    for name, labels in found.items():
        assert labels == found["JSON by name"], name
