"""Answers pip-audit out of a folder of advisories, where no advisory service can be reached.

    advisories.py FOLDER COMMAND…

runs COMMAND with settings that make every pip-audit in it ask a service on this machine, which answers as
OSV's does (https://google.github.io/osv.dev/post-v1-query/). Ends as COMMAND ends, or with 2 if FOLDER is of
no use. FOLDER is a clone of PyPA's advisory database (https://github.com/pypa/advisory-database), or another
one of OSV documents in YAML or JSON (https://ossf.github.io/osv-schema/).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any, Final

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Document = Mapping[str, Any]  # an advisory, as OSV's schema describes it
Advisories = Mapping[str, Sequence[Document]]  # by the canonical name of the package

_LARGEST_QUESTION: Final = 64 << 10  # bytes; pip-audit's have about a hundred
_LOWEST: Final = Version("0.dev0")
# Every scalar is a text, as in JSON: 2.10 is a version, not a number.
_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class NoAdvisories(Exception):
    """The folder is not one that a check could rely on."""


def read_folder(folder: Path) -> list[Document]:
    """Read every advisory.

    Raises:
        NoAdvisories: there are none, or one of them cannot be read: a part of them is not enough for a check.
    """
    vulns = folder / "vulns"  # beside it, a clone of PyPA's holds YAML of other kinds
    paths = sorted(path for path in (vulns if vulns.is_dir() else folder).rglob("*") if _is_document(path))
    if not paths:
        raise NoAdvisories(f"there are no advisories (OSV's .yaml or .json) in {folder}")
    return [_read(path) for path in paths]


def _is_document(path: Path) -> bool:
    return path.suffix in {".yaml", ".json"} and path.is_file()


def _read(path: Path) -> Document:
    try:
        text = path.read_text("utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.load(text, _LOADER)  # noqa: S506  makes texts only
        _check(document)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise NoAdvisories(f"{path} is no advisory that can be read: {error!r:.200}") from error
    return document  # type: ignore[no-any-return]


def _check(document: Document) -> None:
    _ = document["id"], date.fromisoformat(document["modified"][:10])
    for affected in chain.from_iterable(_packages(document).values()):
        _affects(affected, _LOWEST)


def by_package(documents: Iterable[Document]) -> Advisories:
    """Sort advisories by the packages of PyPI that they tell of; each then tells of that one alone."""
    known: dict[str, list[Document]] = {}
    for document in documents:
        for name, affected in _packages(document).items():
            known.setdefault(name, []).append({**document, "affected": affected})
    return known


def _packages(document: Document) -> dict[str, list[Document]]:
    packages: dict[str, list[Document]] = {}
    for affected in document.get("affected") or ():
        package = affected.get("package", {})
        if package.get("ecosystem") == "PyPI":
            name = canonicalize_name(package["name"])
            # pip-audit looks for fixes under the canonical name only.
            packages.setdefault(name, []).append({**affected, "package": {**package, "name": name}})
    return packages


def find(advisories: Advisories, package: str, version: str) -> list[Document]:
    """Give the advisories that a version of a package is affected by.

    Source: https://ossf.github.io/osv-schema/#evaluation.
    """
    pinned = Version(version)
    documents = advisories.get(canonicalize_name(package), ())
    return [document for document in documents if any(_affects(one, pinned) for one in document["affected"])]


def _affects(affected: Document, pinned: Version) -> bool:
    listed = any(_version(text) == pinned for text in affected.get("versions") or ())
    ranges = [one for one in affected.get("ranges") or () if one["type"] == "ECOSYSTEM"]
    return listed or any(_within(one["events"], pinned) for one in ranges)


def _within(events: Sequence[Mapping[str, str]], pinned: Version) -> bool:
    limits = [_version(event["limit"]) for event in events if event.get("limit", "*") != "*"]
    if limits and not any(limit and pinned < limit for limit in limits):
        return False
    within = False
    for kind, version in _in_order(events):
        if kind == "introduced" and pinned >= version:
            within = True
        elif (kind == "fixed" and pinned >= version) or (kind == "last_affected" and pinned > version):
            within = False
    return within


def _in_order(events: Sequence[Mapping[str, str]]) -> list[tuple[str, Version]]:
    """Sort by version. What is no version of PEP 440 mends nothing, and is introduced before all others."""
    told: list[tuple[str, Version]] = []
    for kind, text in (item for event in events for item in event.items()):
        version = _LOWEST if text == "0" else _version(text)
        if version or kind == "introduced":
            told.append((kind, version or _LOWEST))
    return sorted(told, key=lambda event: event[1])


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def tell_age(documents: Sequence[Document], today: date) -> str:
    """Say in a sentence what a check with these advisories cannot find."""
    newest = date.fromisoformat(max(document["modified"] for document in documents)[:10])
    return (
        f"{len(documents)} advisories, the newest of {newest}, {(today - newest).days} days ago: "
        "what became known since is not found"
    )


class _Service(BaseHTTPRequestHandler):
    """`POST /v1/query` with a package and a version."""

    def __init__(self, *arguments: Any, advisories: Advisories) -> None:
        self._advisories = advisories
        super().__init__(*arguments)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/v1/query" or length > _LARGEST_QUESTION:
            self.send_error(404)
            return
        try:
            question = json.loads(self.rfile.read(length))
            vulns = find(self._advisories, question["package"]["name"], question["version"])
        except (ValueError, KeyError, TypeError):
            self.send_error(400)
            return
        self._answer(json.dumps({"vulns": vulns} if vulns else {}).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: what counts is pip-audit's report."""


def serve(advisories: Advisories) -> HTTPServer:
    """Make a service at a free port of this machine; it answers once `serve_forever` runs."""
    return HTTPServer(("127.0.0.1", 0), partial(_Service, advisories=advisories))


def _run(command: Sequence[str], advisories: Advisories) -> int:
    with serve(advisories) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/query"
        status = subprocess.run(command, check=False, env={**os.environ, **_settings(url)}).returncode  # noqa: S603  the operator's
        server.shutdown()
    return status


def _settings(url: str) -> dict[str, str]:
    past_proxies = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url, **past_proxies}


def main(folder: str, *command: str) -> int:
    """Tell how old the advisories are, then run the command."""
    try:
        documents = read_folder(Path(folder))
    except NoAdvisories as error:
        print(f"audit: {error}; so THE CHECK DID NOT TAKE PLACE", file=sys.stderr)
        return 2
    print(tell_age(documents, datetime.now(UTC).date()), flush=True)
    return _run(command, by_package(documents))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
