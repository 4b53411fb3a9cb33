"""Somebody who uses the platform: an account, its API key, and what measurements do with its models."""

from http import HTTPStatus
from pathlib import Path

import httpx

from bench.wrk import Target

_NOT_THERE = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}


class Tenant:
    """An account of its own, just registered.

    Attributes:
        client: speaks for it, by its access token.
        key: the header that loads send.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self.client = httpx.Client(base_url=f"{url}/api/v1", timeout=600)
        account = {"email": f"{name}@example.com", "password": "known to everybody"}
        answered(self.client.post("/auth/register", json=account))
        token = answered(self.client.post("/auth/login", json=account))["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        secret = answered(self.client.post("/api-keys", json={"name": name}))["secret"]
        self.key = {"Authorization": f"Bearer {secret}"}

    def upload(self, model: Path, *, name: str) -> dict:
        """The model's description, once it is ready to serve. The same name again makes a new version."""
        with model.open("rb") as file:
            answer = self.client.post(
                "/models/upload", files={"file": file}, data={"name": name}, headers={"Prefer": "wait=60"}
            )
        uploaded = answered(answer)
        if uploaded["version"]["status"] != "ready":
            raise SystemExit(f"the model was not taken: {uploaded['version']['reason']}")
        return uploaded

    def change_settings(self, model: str, **settings: object) -> None:
        """Change settings of a model."""
        answered(self.client.patch(f"/models/{model}", json={"settings": settings}))

    def target(self, model: str, bodies: Path, **headers: str) -> Target:
        """Predictions of a model, with the tenant's key."""
        return Target(url=f"{self._url}/api/v1/predict/{model}", bodies=bodies, headers=self.key | headers)

    def predict(self, model: str, body: dict, **headers: str) -> httpx.Response:
        """One prediction, with the tenant's key."""
        return self.client.post(f"/predict/{model}", json=body, headers=self.key | headers)

    def analytics(self, model: str) -> dict:
        """What the platform counted for a model."""
        return answered(self.client.get(f"/models/{model}/analytics"))


def answered(answer: httpx.Response) -> dict:
    """What was answered; ends the program where that is an error."""
    if not answer.is_success:
        raise SystemExit(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    return answer.json()
