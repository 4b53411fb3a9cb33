"""The documentation, followed word for word on a running platform."""

import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pandas as pd
import pytest

from tests.fixtures.platform import wait_until

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """The code of that language on a page, in order."""
    text = (ROOT / page).read_text()
    return [code for found, code in FENCE.findall(text) if found == language]


@pytest.fixture
def reader(platform, tmp_path):
    """Somebody who follows a page in a folder that looks like a checkout."""
    return Reader(platform.base_url, tmp_path)


class Reader:
    def __init__(self, base_url: str, folder: Path) -> None:
        self.base_url, self.folder = base_url, folder
        (folder / "docs").symlink_to(ROOT / "docs")
        (folder / ".venv").symlink_to(Path(sys.prefix))
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "error"}

    def types(self, code: str, **env: str) -> str:
        """What a shell answers."""
        return self._run(["bash", "-euo", "pipefail", "-c", self._here(code)], env)

    def runs(self, code: str, **env: str) -> str:
        """What Python prints."""
        return self._run([sys.executable, "-c", self._here(code)], env)

    def _here(self, code: str) -> str:
        return code.replace("http://localhost:8000", self.base_url)

    def _run(self, command: list[str], env: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout


def login(reader: Reader, email: str) -> str:
    """The token of a new account."""
    api = f"{reader.base_url}/api/v1/auth"
    who = {"email": email, "password": "SecureP@ss123"}
    httpx.post(f"{api}/register", json=who | {"full_name": "Reader"}).raise_for_status()
    return httpx.post(f"{api}/login", json=who).raise_for_status().json()["access_token"]


def upload_iris(reader: Reader, token: str) -> None:
    reader.types(".venv/bin/python docs/tutorials/train_iris.py")
    upload = next(code for code in blocks("README.md", "bash") if "models/upload" in code)
    reader.types(upload, TOKEN=token)


FLOWERS = """sepal_length,sepal_width,petal_length,petal_width,garden
5.1,3.5,1.4,0.2,north
6.7,3.0,5.2,2.3,south
"""


def test_the_readme_leads_to_a_first_prediction(reader):
    printed = reader.types("\n".join(blocks("README.md", "bash")))

    prediction = json.loads(printed[printed.rindex('{"prediction"') :])
    promised = json.loads(blocks("README.md", "json")[0])
    assert prediction | {"prediction_id": "…"} == promised


def test_the_tutorial_runs_from_its_first_line_to_its_last(reader):
    printed = reader.runs("\n".join(blocks("docs/tutorials/first-model.md", "python")))

    lines = printed.splitlines()
    assert lines[0].startswith("ready ['alcohol', 'malic_acid'")
    assert lines[1].startswith("Real-time answers are computed by")
    assert lines[3] == "[0, 0, 0]"
    assert lines[4].startswith("422 [")
    assert lines[-2:] == ["2", "1"]


def test_large_inputs_are_sent_as_the_page_says(reader):
    first = "\n".join(blocks("docs/tutorials/first-model.md", "python")[:2])
    page = "\n".join(blocks("docs/how-to/send-large-inputs.md", "python"))

    printed = reader.runs(f"{first}\n{page}".replace("ada@example.com", "large@example.com"))

    assert printed.splitlines()[1:] == [
        "178",
        "422 [{'message': 'missing', 'column': 'alcohol'}]",
        "INT64 [178]",
    ]


def test_a_file_is_predicted_as_the_page_says(reader):
    token = login(reader, "file@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    submit, ask, fetch, *_ = blocks("docs/how-to/predict-a-file.md", "bash")

    job = job_of(reader, token, submit, ask)
    reader.types(fetch, TOKEN=token, JOB=job)

    assert (reader.folder / "predicted.csv").read_text().splitlines() == [
        "sepal_length,sepal_width,petal_length,petal_width,garden,prediction",
        "5.1,3.5,1.4,0.2,north,setosa",
        "6.7,3.0,5.2,2.3,south,virginica",
    ]


def test_a_job_that_has_time_is_sent_as_the_page_says(reader):
    token = login(reader, "patient@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    page = blocks("docs/how-to/predict-a-file.md", "bash")
    submit = next(block for block in page if "priority=" in block)

    job = job_of(reader, token, submit, page[1])

    assert json.loads(reader.types(page[1], TOKEN=token, JOB=job))["priority"] == "low"


def test_rows_that_cannot_be_predicted_are_told_as_the_page_says(reader):
    token = login(reader, "skipping@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS.replace("3.0,5.2", "wide,5.2"))
    _, ask, _, submit, errors, *_ = blocks("docs/how-to/predict-a-file.md", "bash")

    job = job_of(reader, token, submit, ask)
    told = json.loads(reader.types(errors, TOKEN=token, JOB=job))

    assert (told["row"], told["column"], told["code"]) == (1, "sepal_width", "unreadable_input")


def test_probabilities_are_written_beside_the_prediction_as_the_page_says(reader):
    token = login(reader, "sure@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    page = "docs/how-to/predict-a-file.md"
    _, ask, fetch, *others = blocks(page, "bash")

    job = job_of(reader, token, next(code for code in others if "outputs=" in code), ask)
    reader.types(fetch, TOKEN=token, JOB=job)

    header, first, _ = (reader.folder / "predicted.csv").read_text().splitlines()
    assert header + "\n" == blocks(page, "csv")[0]
    assert first.startswith("north,setosa,0.9")


def test_a_file_that_lies_elsewhere_is_predicted_as_the_page_says(reader, free_port):
    token = login(reader, "elsewhere@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    submit, ask = blocks("docs/how-to/predict-a-file-elsewhere.md", "bash")
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(free_port), "--bind", "127.0.0.1"],
        cwd=reader.folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        job = job_of(reader, token, submit.replace(":9000", f":{free_port}"), ask)
    finally:
        server.kill()
        server.communicate()

    shown = json.loads(reader.types(ask, TOKEN=token, JOB=job))
    assert (shown["rows"]["done"], shown["input"]["format"]) == (2, "csv")


def test_a_job_is_scheduled_as_the_page_says(reader, free_port):
    token = login(reader, "nightly@example.com")
    upload_iris(reader, token)
    for day in (0, 1):  # the night may pass meanwhile
        date = datetime.now(ZoneInfo("Europe/Berlin")).date() + timedelta(days=day)
        (reader.folder / f"flowers-{date}.csv").write_text(FLOWERS)
    make, run, look, jobs, pause, delete = blocks("docs/how-to/run-a-job-every-night.md", "bash")
    _, ask = blocks("docs/how-to/predict-a-file-elsewhere.md", "bash")
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(free_port), "--bind", "127.0.0.1"],
        cwd=reader.folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        made = json.loads(reader.types(make.replace(":9000", f":{free_port}"), TOKEN=token))
        job = job_of(reader, token, run, ask)
    finally:
        server.kill()
        server.communicate()

    seen = json.loads(reader.types(look, TOKEN=token))
    listed = json.loads(reader.types(jobs, TOKEN=token))["items"]
    paused = json.loads(reader.types(pause, TOKEN=token))
    assert seen == made | {key: seen[key] for key in ("last_job", "last_run_at")}
    assert seen["last_job"] == {"id": job, "status": "succeeded"}
    assert [(found["id"], found["schedule_id"]) for found in listed] == [(job, made["id"])]
    assert (paused["enabled"], paused["next_run_at"]) == (False, None)
    assert reader.types(delete, TOKEN=token) == ""
    assert json.loads(reader.types(look, TOKEN=token))["code"] == "schedule_not_found"


def test_a_job_is_submitted_more_than_once_as_the_page_says(reader):
    token = login(reader, "again@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    by_key, by_id = blocks("docs/how-to/submit-more-than-once.md", "bash")

    keyed = [json.loads(line) for line in reader.types(by_key, TOKEN=token).splitlines()]
    put = [json.loads(line) for line in reader.types(by_id, TOKEN=token).splitlines()]

    assert (len(keyed), len({job["id"] for job in keyed})) == (3, 1)
    assert (len(put), len({(job["id"], job["client_id"]) for job in put})) == (3, 1)


def test_rows_are_submitted_as_json_as_the_page_says(reader):
    token = login(reader, "json@example.com")
    upload_iris(reader, token)
    submit, ask, fetch = blocks("docs/how-to/submit-json.md", "bash")

    job = job_of(reader, token, submit, ask)
    reader.types(fetch, TOKEN=token, JOB=job)

    predicted = (reader.folder / "predicted.csv").read_text()
    assert predicted.splitlines() == ["garden,prediction", "north,setosa", "south,virginica"]


def test_a_prediction_is_made_later_as_the_page_says(reader):
    token = login(reader, "patience@example.com")
    upload_iris(reader, token)
    page = "docs/how-to/predict-now-or-later.md"
    submit, wait, fetch, in_time = blocks(page, "bash")

    job = job_of(reader, token, submit, wait)
    answer = json.loads(reader.types(fetch, TOKEN=token, JOB=job))
    at_once = json.loads(reader.types(in_time, TOKEN=token))

    assert answer["prediction_id"] == job
    assert answer | {"prediction_id": "…"} == json.loads(blocks(page, "json")[0])
    assert at_once["prediction"] == "setosa"


def test_a_large_file_is_sent_as_the_page_says(reader):
    token = login(reader, "uploads@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    page = "docs/how-to/send-large-files.md"
    begin, send, go_on, use = blocks(page, "bash")
    _, ask, fetch, *_ = blocks("docs/how-to/predict-a-file.md", "bash")

    whole, broken = (json.loads(reader.types(begin, TOKEN=token))["id"] for _ in range(2))
    sent = json.loads(reader.types(send, TOKEN=token, UPLOAD=whole))
    httpx.patch(
        f"{reader.base_url}/api/v1/uploads/{broken}",
        content=FLOWERS[:70],
        headers={"Authorization": f"Bearer {token}", "Upload-Offset": "0"},
    ).raise_for_status()
    ended = json.loads(reader.types(go_on, TOKEN=token, UPLOAD=broken))
    job = job_of(reader, token, use.replace("$UPLOAD", broken), ask)
    reader.types(fetch, TOKEN=token, JOB=job)
    printed = reader.runs(blocks(page, "python")[0], TOKEN=token)

    promised = json.loads(blocks(page, "json")[0])
    assert (sent.keys(), sent["complete"]) == (promised.keys(), True)
    assert ended["sha256"] == sent["sha256"]
    assert (reader.folder / "predicted.csv").read_text().splitlines()[2].endswith("virginica")
    assert printed == f"{len(FLOWERS)}\n"


def test_a_job_that_has_ended_is_read_retried_and_deleted_as_the_page_says(reader):
    token = login(reader, "later@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    submit, ask, *_ = blocks("docs/how-to/predict-a-file.md", "bash")
    some, more, retry, delete = blocks("docs/how-to/after-a-job-has-ended.md", "bash")
    job = job_of(reader, token, submit, ask)

    reader.types(some, TOKEN=token, JOB=job)
    nothing_new = reader.types(more, TOKEN=token, JOB=job)
    retried = json.loads(reader.types(retry, TOKEN=token, JOB=job))
    reader.types(delete, TOKEN=token, JOB=job)

    assert len((reader.folder / "some.csv").read_text().splitlines()) == 3
    assert nothing_new == "nothing new yet\n"
    assert retried["code"] == "job_ended"
    assert json.loads(reader.types(ask, TOKEN=token, JOB=job))["code"] == "job_not_found"


def test_a_folder_of_files_is_predicted_as_the_page_says(reader):
    token = login(reader, "folder@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers").mkdir()
    rows = pd.read_csv(io.StringIO(FLOWERS))
    for at in range(2):
        rows[at : at + 1].to_parquet(reader.folder / f"flowers/part-000{at}.parquet")
    page = "docs/how-to/predict-a-file.md"
    _, ask, fetch, *_ = blocks(page, "bash")
    submit = next(code for code in blocks(page, "bash") if "flowers/*.parquet" in code)

    job = job_of(reader, token, submit, ask)
    reader.types(fetch, TOKEN=token, JOB=job)
    from_python = reader.runs(blocks(page, "python")[0], TOKEN=token)

    predicted = pd.read_parquet(reader.folder / "predicted.csv")
    assert predicted["garden"].tolist() == ["north", "south"]
    assert predicted["prediction"].tolist() == ["setosa", "virginica"]
    assert from_python.split()[1] == "2"


def job_of(reader, token: str, submit: str, ask: str) -> str:
    """A job that was submitted and has succeeded."""
    job = json.loads(reader.types(submit, TOKEN=token))["id"]
    while (shown := json.loads(reader.types(ask, TOKEN=token, JOB=job)))["status"] != "succeeded":
        assert shown["status"] != "failed", shown
        time.sleep(0.2)
    return job


def test_the_receiver_of_the_webhook_page_verifies_a_real_delivery(reader, free_port):
    token = login(reader, "webhook@example.com")
    upload_iris(reader, token)
    (reader.folder / "flowers.csv").write_text(FLOWERS)
    page = "docs/how-to/receive-webhooks.md"
    make, try_it, submit, ask_secret, rotate, look, have_again = blocks(page, "bash")
    code = blocks(page, "python")[0]
    webhook = json.loads(reader.types(make.replace(":9000", f":{free_port}"), TOKEN=token))
    types = partial(reader.types, TOKEN=token, WEBHOOK=webhook["id"])

    with receiving_as_the_page_says(reader, code, port=free_port, secret=webhook["secret"]) as told:
        tried = json.loads(types(try_it))
        assert next(told) == ("webhook.test", {"webhook_id": webhook["id"]})
        types(rotate)  # the old secret is still good
        job = json.loads(types(submit.replace(":9000", ":1")))["id"]
        event, data = next(told)
        assert (event, data["id"]) == ("job.succeeded", job)
    with receiving_as_the_page_says(
        reader, code, port=free_port, secret=json.loads(types(ask_secret))["secret"]
    ) as told:
        job = json.loads(types(submit.replace(":9000", f":{free_port}")))["id"]
        assert next(data["id"] for event, data in told if event == "job.succeeded") == job

    assert tried["status"] == "delivered"
    assert tried["id"] in {item["id"] for item in json.loads(types(look))["items"]}
    assert "count" in json.loads(types(have_again))


@contextmanager
def receiving_as_the_page_says(reader, code, *, port, secret):
    """The receiver of a page; what it prints, as events and their data."""
    receiver = subprocess.Popen(
        [sys.executable, "-c", code],
        env=reader.env | {"WEBHOOK_SECRET": secret, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until_listening(port)
        yield ((event, json.loads(data)) for event, data in (line.split(" ", 1) for line in receiver.stdout))
    finally:
        receiver.kill()
        receiver.communicate()


def wait_until_listening(port):
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the receiver does not listen")


def test_a_class_of_ones_own_is_served_as_the_page_says(reader):
    token = login(reader, "own@example.com")
    page = "docs/how-to/serve-your-own-python-class.md"
    (reader.folder / "model.py").write_text(blocks(page, "python")[0])

    printed = reader.types("\n".join(blocks(page, "bash")), TOKEN=token)

    prediction = json.loads(printed[printed.rindex('{"prediction"') :])
    promised = json.loads(blocks(page, "json")[0])
    assert prediction | {"prediction_id": "…"} == promised


def test_a_key_is_made_used_and_revoked_as_the_page_says(reader):
    token = login(reader, "program@example.com")
    make, use, look, change, revoke, rotate = blocks("docs/how-to/use-api-keys.md", "bash")

    made = json.loads(reader.types(make, TOKEN=token))
    promised = json.loads(blocks("docs/how-to/use-api-keys.md", "json")[0])
    assert made.keys() == promised.keys()
    empty = '{"items":[],"next_cursor":null}'
    assert reader.types(use, KEY=made["secret"]) == empty * 2
    assert json.loads(reader.types(look, TOKEN=token))["items"][0]["last_used_at"] is not None
    assert json.loads(reader.types(change, TOKEN=token, ID=made["id"]))["scopes"] == ["jobs", "predict"]
    assert json.loads(reader.types(rotate, TOKEN=token, ID=made["id"]))["secret"] != made["secret"]
    reader.types(revoke, TOKEN=token, ID=made["id"])
    assert json.loads(reader.types(use.splitlines()[0], KEY=made["secret"]))["code"] == "invalid_api_key"


def test_a_team_is_looked_after_as_the_page_says(reader):
    login(reader, "team@example.com")
    who = {"email": "team@example.com", "password": "SecureP@ss123"}
    tokens = httpx.post(f"{reader.base_url}/api/v1/auth/login", json=who).raise_for_status().json()
    token, user = tokens["access_token"], tokens["user"]
    page = blocks("docs/how-to/teams.md", "bash")
    rename, make, invite, look, accept, register, me, switch, home, people, leave, delete = page

    renamed = json.loads(reader.types(rename, TOKEN=token))
    assert renamed.keys() == json.loads(blocks("docs/how-to/teams.md", "json")[0]).keys()
    made = json.loads(reader.types(make, TOKEN=token))
    invited = json.loads(reader.types(invite, TOKEN=token))
    looked = reader.types(look, TOKEN=token, ID=invited["id"])
    assert looked.startswith('{"items":[{"id":"' + invited["id"])
    assert '"code":"invitation_just_sent"' in looked
    for code in (accept, register):  # with a token that was in no mail
        assert json.loads(reader.types(code, TOKEN=token, INVITATION="x"))["code"] == "invitation_not_found"
    assert len(json.loads(reader.types(me, TOKEN=token))["organizations"]) == 2
    refresh = tokens["refresh_token"]
    switched = json.loads(reader.types(switch, TOKEN=token, ORGANIZATION=made["id"], REFRESH=refresh))
    assert switched["user"]["tenant_id"] == made["id"]
    moved = json.loads(reader.types(home, TOKEN=token, ORGANIZATION=made["id"]))
    assert moved["home_organization_id"] == made["id"]
    # Alone in it, there is nobody to lower, to remove or to hand it over to.
    for code, refusals in ((people, 2), (leave, 1)):
        assert reader.types(code, TOKEN=token, USER_ID=user["id"]).count('"code":"last_owner"') == refusals
    assert '"code":"not_confirmed"' in reader.types(delete, TOKEN=token)  # they act in another by now
    assert reader.types(delete.replace("Weather Office", "Storm Warnings"), TOKEN=token) == ""
    assert json.loads(reader.types(me, TOKEN=token))["code"] == "session_ended"


def test_an_account_is_looked_after_as_the_page_says(reader, platform):
    token = login(reader, "somebody@example.com")
    page = "docs/how-to/look-after-your-account.md"
    sessions, name, reset = blocks(page, "bash")
    ending = next(code for code in blocks(page, "text") if "logout-everywhere" in code).splitlines()[-1]

    seen = json.loads(reader.types(sessions, TOKEN=token))
    renamed = json.loads(reader.types(name, TOKEN=token))
    answer = json.loads(reader.types(reset))
    reader.types(ending, TOKEN=token)

    promised, promised_answer = (json.loads(code) for code in blocks(page, "json"))
    assert [set(item) for item in seen["items"]] == [set(item) for item in promised["items"]]
    assert [item["current"] for item in seen["items"]] == [True]
    assert renamed["full_name"] == "Ada King"
    assert answer == promised_answer
    assert json.loads(reader.types(sessions, TOKEN=token))["code"] == "session_ended"
    mails = platform.folder / "logs" / "mail"
    told = "password-reset/confirm"  # others are mailed something else
    wait_until(lambda: any(told in mail.read_text() for mail in mails.glob("*.eml")), within_s=30)


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_every_link_between_pages_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", (ROOT / page).read_text())

    assert [link for link in links if link and not (ROOT / page).parent.joinpath(link).exists()] == []
