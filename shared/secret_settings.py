"""Settings that are secrets: read from files where operators keep them there, and shown to nobody."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

# Each can be given as NAME_FILE too, the path of a file that holds it.
SECRETS: Final = (
    "database_url",
    "redis_url",
    "broker_redis_url",
    "cache_redis_url",
    "secret_key",
    "secret_key_previous",
    "data_key",
    "metrics_token",
    "mail_url",
    "oidc_client_secret",
)

HIDDEN: Final = "***"
_MAX_BYTES: Final = 64 * 1024
_URL_PASSWORD: Final = re.compile(r"(://[^/\s:@\"']*:)[^@\s\"']+@")


def with_secret_files(env: Mapping[str, str]) -> dict[str, str]:
    """The variables, with what the files hold that NAME_FILE variables name.

    Raises:
        ValueError: one is given twice, or its file cannot be used; the text names the variable.
    """
    read = dict(env)
    for name in (secret.upper() for secret in SECRETS):
        path = env.get(f"{name}_FILE")
        if not path:
            continue
        if env.get(name):
            raise ValueError(f"{name} and {name}_FILE are both set: leave one of them out")
        read[name] = _content(f"{name}_FILE", Path(path))
    return read


def check_urls(values: Mapping[str, str]) -> None:
    """Say in our words what is wrong with a URL: the library's own error shows part of the password.

    Raises:
        ValueError: one is none; the text names the variable.
    """
    for name, value in values.items():
        if name.endswith("_url") and name in SECRETS and not _is_url(value):
            raise ValueError(
                f"{name.upper()} is no URL: characters of its password other than letters, digits and -._~ "
                "are written as %2F and the like"
            )


def shown(name: str, value: object) -> object:
    """A setting as it may be shown."""
    if name not in SECRETS or not value:
        return value
    return without_url_passwords(str(value)) if name.endswith("_url") else HIDDEN


def without_url_passwords(text: str) -> str:
    """The text, with the passwords of all URLs in it hidden."""
    return _URL_PASSWORD.sub(rf"\g<1>{HIDDEN}@", text)


def secrets_in(values: Iterable[tuple[str, str]]) -> set[str]:
    """What must not be seen of these settings: they themselves, and of URLs the password."""
    found: set[str] = set()
    for name, value in values:
        if not name.endswith("_url"):
            found.add(value)
        elif password := urlsplit(value).password:
            found |= {password, unquote(password)}
    return found - {""}


def _content(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{variable}: {path} is no text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"{variable}: cannot read {path}: {error.strerror}") from None
    if not content or len(content) > _MAX_BYTES:
        raise ValueError(f"{variable}: {path} is {'too large' if content else 'empty'}")
    return content


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  it is read only now, and may be none
    except ValueError:
        return False
    return bool(parts.scheme) and "#" not in value
