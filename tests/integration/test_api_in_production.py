"""An API process as it stands on the internet: HTTPS by itself, secrets in files and not in its log."""

import ssl
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from api.exposure import check_exposure
from shared.settings import SettingsInvalid
from tests.fixtures.platform import find_free_port
from tests.fixtures.processes import Process
from tests.fixtures.webhooks import CERTIFICATE

KEY = "Zk3vQ9xT1mB7wLrm4rk3dYpHsNdE5uGcJfA8iXo2"
TOKEN = "m4rk3d-token-of-the-metrics"
SENT = "m4rk3d-by-a-client"


@pytest.fixture
async def production(settings, tmp_path):
    """The process, and the port that it listens on."""
    secrets = {"SECRET_KEY": KEY, "METRICS_TOKEN": TOKEN, "DATABASE_URL": settings.database_url}
    secrets["REDIS_URL"] = settings.redis_url
    for name, value in secrets.items():
        (tmp_path / name).write_text(f"{value}\n")
    port = find_free_port()
    environment = {
        **dict.fromkeys(secrets, ""),
        **{f"{name}_FILE": str(tmp_path / name) for name in secrets},
        "BROKER_REDIS_URL": "",
        "CACHE_REDIS_URL": "",
        "ENVIRONMENT": "production",
        "PUBLIC_URL": f"https://localhost:{port}",
        "PORT": str(port),
        "TLS_CERTIFICATE": str(CERTIFICATE),
        "TLS_KEY": str(CERTIFICATE),
        "LOG_LEVEL": "debug",
    }
    with ExitStack() as stack:
        process = Process("api", settings, tmp_path / "api.log", environment=environment)
        stack.callback(process.kill)
        await process.wait_for_log("Application startup complete")
        yield process, port


async def test_it_answers_by_https_and_logs_no_secret(production, settings):
    process, port = production
    password = urlsplit(settings.database_url).password
    known = ssl.create_default_context(cafile=CERTIFICATE)
    known.check_hostname = False  # it is made out to a receiver of webhooks
    async with httpx.AsyncClient(base_url=f"https://localhost:{port}", verify=known) as client:
        live = await client.get("/livez")
        metrics = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        refused = [
            await client.post("/api/v1/auth/login", json={"email": "a@example.com", "password": SENT}),
            await client.post("/api/v1/auth/login", content=f'{{"password": "{SENT}"'),
            await client.post("/api/v1/auth/refresh", json={"refresh_token": SENT}),
            await client.get("/api/v1/models", headers={"Authorization": f"Bearer {SENT}"}),
            await client.get("/api/v1/models", headers={"X-API-Key": f"my_{SENT}"}),
            await client.post("/api/v1/predict/x", headers={"Authorization": f"Bearer {SENT}"}, json={}),
        ]
        elsewhere = await client.get("/livez", headers={"Host": "evil.example"})
        misdirected = await client.get("/docs", headers={"Host": "evil.example"})

    assert (live.status_code, metrics.status_code, elsewhere.status_code) == (200, 200, 200)
    assert live.headers["Strict-Transport-Security"].startswith("max-age=")
    assert (misdirected.status_code, misdirected.json()["code"]) == (421, "host_not_allowed")
    assert {answer.status_code for answer in refused} <= {400, 401, 422}
    log = process.log.read_text()
    assert '"path": "/api/v1/auth/login"' in log
    assert "m4rk3d" not in log
    assert password
    assert password not in log


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "TLS_CERTIFICATE and TLS_KEY, or TRUSTED_PROXIES"),
        ({"tls_certificate": "x"}, "belong together"),
        (
            {"tls_certificate": "/nowhere/x", "tls_key": "/nowhere/x"},
            "TLS_CERTIFICATE: there is no file /nowhere/x",
        ),
        ({"tls_certificate": str(Path(__file__)), "tls_key": str(Path(__file__))}, "in PEM"),
    ],
)
def test_it_does_not_start_where_nobody_could_reach_it(settings, changes, says):
    with pytest.raises(SettingsInvalid, match=says):
        check_exposure(msgspec.structs.replace(settings, environment="production", **changes))
