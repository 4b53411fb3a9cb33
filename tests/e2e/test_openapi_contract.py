"""Every route does what the OpenAPI document says of it: no 500, and no answer but those that are described.

What is asked comes out of the document, so new routes are asked too. What JSON Schema cannot say of a route
is in schemathesis.toml. `make contract` asks for longer (CONTRACT_EXAMPLES of each route).
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sklearn.dummy import DummyClassifier

from tests.fixtures.processes import ROOT

EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "")
FEW = ("--phases", "fuzzing", "--max-examples", "1")
MANY = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES)

# What ends the session that everything is asked with: asked last, or it would be the last.
ENDINGS = ("POST /api/v1/auth/logout-everywhere", "DELETE /api/v1/auth/sessions/{session}")


@pytest.fixture(scope="module")
async def contract_api(serving, tmp_path_factory):
    """An API without limits of rates, with a model and a job to ask for."""
    await serving.upload("iris", DummyClassifier(strategy="constant", constant=1).fit([[0.0]] * 2, [1, 2]))
    limits = ("read", "write", "upload", "predict", "login", "login_address")
    with ExitStack() as stack:
        unlimited = {f"{kind}_per_minute": 0 for kind in limits}
        folder = tmp_path_factory.mktemp("contract")
        api = await serving.start_api(stack, folder, verdict_wait_s=0.1, **unlimited)
        async with api.client() as client:
            job = await client.post("/api/v1/jobs", json={"model": "iris", "input": {"rows": [[1.0]]}})
            assert job.status_code == 202, job.text
        yield api


async def test_every_route_keeps_to_the_document(contract_api):
    who = ("-H", f"Authorization: Bearer {contract_api.token}")

    code, report = await ask(contract_api.url, *who, *named("exclude", ENDINGS))
    async with contract_api.client() as client:
        known = (await client.get("/api/v1/auth/me")).status_code
    code_of_endings, report_of_endings = await ask(contract_api.url, *who, *named("include", ENDINGS))

    assert code == 0, report
    assert code_of_endings == 0, report_of_endings
    assert known == 200


async def test_every_route_keeps_to_the_document_for_strangers(contract_api):
    code, report = await ask(contract_api.url)

    assert code == 0, report


async def test_the_document_is_one_of_openapi_3_1(contract_api):
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR  # noqa: PLC0415  slow to import

    async with httpx.AsyncClient() as client:
        document = (await client.get(f"{contract_api.url}/openapi.json")).json()

    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def named(flag: str, operations: Iterable[str]) -> list[str]:
    return [f"--{flag}-name={operation}" for operation in operations]


async def ask(url: str, *who: str) -> tuple[int, str]:
    """Run schemathesis; its exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{url}/openapi.json",
        "--checks=all",
        "--no-color",
        *(MANY if EXAMPLES else FEW),
        *who,
        cwd=ROOT,  # of schemathesis.toml
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    report = printed.decode()
    if EXAMPLES:
        print(report[report.rfind("= SUMMARY =") :])  # noqa: T201  figures, for whoever runs it
    return process.returncode or 0, report
