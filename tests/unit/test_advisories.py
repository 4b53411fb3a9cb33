"""A folder of advisories finds what a version is affected by; expected values are PyPA's own documents."""

import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from threading import Thread

import httpx
import pytest
import yaml

from requirements.advisories import NoAdvisories, by_package, find, read_folder, serve, tell_age

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests/fixtures/advisories"
PROGRAM = ROOT / "requirements/advisories.py"


def ids(folder: Path, package: str, version: str) -> list[str]:
    return [document["id"] for document in find(by_package(read_folder(folder)), package, version)]


def written(*events: dict[str, str], versions: tuple[str, ...] = ()):
    """An advisory about `thing` with a range of these events."""
    package = {"ecosystem": "PyPI", "name": "Some.Thing"}
    affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}], "versions": versions}
    return by_package([{"id": "ONE", "modified": "2024-10-10T00:00:00Z", "affected": [affected]}])


@pytest.mark.parametrize(
    ("package", "version", "known"),
    [
        ("jinja2", "2.11.2", ["PYSEC-2021-66"]),
        ("jinja2", "2.11.3", []),
        ("Jinja2", "2.10", ["PYSEC-2021-66"]),  # a number in YAML, were it read as one
        ("requests", "2.3.0", ["PYSEC-2023-74"]),
        ("requests", "2.30.0", ["PYSEC-2023-74"]),
        ("requests", "2.30.0.post1", ["PYSEC-2023-74"]),  # in the range, though not in the list
        ("requests", "2.31.0", []),
        ("requests", "2.2.1", []),
        ("litestar", "2.25.0", []),
    ],
)
def test_what_is_known_of_a_version(package, version, known):
    assert ids(FOLDER, package, version) == known


def test_documents_in_json_answer_alike(tmp_path):
    document = yaml.load((FOLDER / "vulns/requests/PYSEC-2023-74.yaml").read_text(), yaml.BaseLoader)  # noqa: S506
    (tmp_path / "PYSEC-2023-74.json").write_text(json.dumps(document))

    assert ids(tmp_path, "requests", "2.30.0") == ["PYSEC-2023-74"]
    assert ids(tmp_path, "requests", "2.31.0") == []


@pytest.mark.parametrize(
    ("events", "affected", "unaffected"),
    [
        ([{"introduced": "0"}, {"last_affected": "1.2"}], ["0.dev1", "1.2"], ["1.2.1"]),
        (
            [{"fixed": "2.1"}, {"introduced": "2"}, {"fixed": "1.5"}, {"introduced": "1"}],
            ["1.4", "2.0"],
            ["1.5", "2.1"],
        ),
        ([{"introduced": "0"}, {"limit": "3"}], ["2.9"], ["3"]),
        ([{"introduced": "0"}, {"fixed": "1.10rc1"}], ["1.9"], ["1.10"]),
        ([{"introduced": "0"}, {"fixed": "0.2.0-n653"}], ["9"], []),  # no version: nobody knows what it mends
    ],
)
def test_ranges_are_read_as_the_schema_says(events, affected, unaffected):
    advisories = written(*events)

    assert all(find(advisories, "some-thing", version) for version in affected)
    assert not any(find(advisories, "some-thing", version) for version in unaffected)


def test_a_version_that_is_listed_needs_no_range():
    assert find(written(versions=("1.0", "2012-legacy")), "some-thing", "1.0.0")


def test_another_ecosystem_s_package_of_that_name_is_another():
    document = {"affected": [{"package": {"ecosystem": "npm", "name": "requests"}, "versions": ["1"]}]}

    assert find(by_package([document]), "requests", "1") == []


def test_the_service_answers_as_osv_does():
    with serve(by_package(read_folder(FOLDER))) as server:
        Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/query"
        old = httpx.post(url, json={"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.11.2"})
        new = httpx.post(url, json={"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "3.1.6"})
        wrong = httpx.post(url, json={"package": "jinja2"})
        server.shutdown()

    assert [vuln["id"] for vuln in old.json()["vulns"]] == ["PYSEC-2021-66"]
    assert new.json() == {}
    assert wrong.status_code == 400


def test_the_age_of_the_newest_is_told():
    told = tell_age(read_folder(FOLDER), date(2023, 6, 15))

    assert "2 advisories, the newest of 2023-06-05, 10 days ago" in told


BROKEN = "id: X\nmodified: 2024-10-10\naffected: [{package: {ecosystem: PyPI, name: x}, ranges: [{}]}]"


@pytest.mark.parametrize(
    "text", ["", "- a list", "id: X", "id: X\nmodified: yesterday", "a: [", "\0", BROKEN]
)
def test_a_document_that_cannot_be_read_is_not_passed_over(tmp_path, text):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "vulns/broken.yaml").write_text(text)

    with pytest.raises(NoAdvisories, match=r"broken\.yaml"):
        read_folder(tmp_path)


def test_an_empty_folder_is_no_success(tmp_path):
    ended = subprocess.run(
        [sys.executable, PROGRAM, tmp_path, "true"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert "THE CHECK DID NOT TAKE PLACE" in ended.stderr


def test_the_command_is_told_where_to_ask_and_ends_it_all(tmp_path):
    command = tmp_path / "command"
    command.write_text(
        "#!/bin/sh\necho $PIP_AUDIT_VULNERABILITY_SERVICE $PIP_AUDIT_OSV_URL $NO_PROXY\nexit 7\n"
    )
    command.chmod(0o755)

    ended = subprocess.run(
        [sys.executable, PROGRAM, FOLDER, command], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 7
    assert "osv http://127.0.0.1:" in ended.stdout
    assert "days ago" in ended.stdout
