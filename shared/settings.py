"""Every knob of the platform, read once from the environment and handed down.

No other module reads the environment. A name here in capitals is the variable that sets it;
`.env.example` lists them for operators.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from shared.errors import OperatorError
from shared.oidc_settings import check_oidc
from shared.production import check_production
from shared.secret_settings import SECRETS, check_urls, secrets_in, shown, with_secret_files

MIB = 1024 * 1024

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Secret = Annotated[str, Meta(min_length=32)]
OptionalSecret = Annotated[str, Meta(pattern=r"^(.{32,})?$")]
Days = Annotated[int, Meta(ge=0, le=36_500)]  # 0: no end
Allowance = Annotated[int, Meta(ge=0, le=2**53 - 1)]  # 0: none
PerMinute = Annotated[int, Meta(ge=0, le=60_000_000)]  # 0: no limit


class SettingsInvalid(OperatorError):
    """A variable is missing or has a value that does not fit."""

    code = "settings_invalid"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every knob of the platform."""

    # Where things live
    database_url: str  # postgresql+asyncpg://…
    redis_url: str  # redis://… or unix://…: the real-time path and invalidation messages
    storage_url: str  # file:///folder or s3://bucket/prefix
    storage_public_endpoint: str = ""  # where clients reach the bucket by links; empty: where we do
    broker_redis_url: str = ""  # jobs and webhooks; empty: database 1 of `redis_url`
    cache_redis_url: str = ""  # cached predictions; empty: `redis_url`
    secret_key: Secret  # signs access tokens
    secret_key_previous: OptionalSecret = ""  # while SECRET_KEY is replaced: its tokens are believed, too
    data_key: OptionalSecret = ""  # derives webhook secrets; empty: SECRET_KEY, until that is replaced

    # Who may reach it
    environment: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    api_processes: Annotated[int, Meta(ge=0, le=256)] = 0  # that answer HTTP; 0: one for every two cores
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    public_url: str = ""  # how clients reach the API, for absolute links; empty: http://host:port
    allow_private_webhooks: bool = False  # deliveries to loopback and private addresses
    trusted_proxies: str = ""  # networks, comma between: they say who the client is, and how it came
    allowed_hosts: str = (
        ""  # names, comma between; empty: any in development, that of `public_url` in production
    )
    cors_origins: str = ""  # of web pages that may read answers, comma between; empty: none
    tls_certificate: str = ""  # a PEM file with the chain; empty: HTTPS ends at a proxy
    tls_key: str = ""  # its key, a PEM file

    drain_s: Annotated[float, Meta(ge=0)] = 1.0  # after SIGTERM: not ready, but still answering

    # Connections of one API process
    max_connections: Count = 8192
    max_connections_per_address: Annotated[int, Meta(ge=0)] = 1024  # trusted proxies apart; 0: no limit
    max_header_fields: Count = 100  # of one request
    max_head_bytes: Annotated[int, Meta(ge=1024)] = 64 * 1024  # of one request's target and header fields
    head_timeout_s: Seconds = 15.0  # until a head is complete, from the connection or from its first byte
    body_min_bytes_s: Count = 512  # what a body must come with, on average
    body_grace_s: Seconds = 60.0  # how far behind that it may fall
    send_timeout_s: Seconds = 60.0  # of a client that reads nothing of its answer

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    # Statistics and metrics
    statistics: bool = True  # count prediction requests; off: neither analytics nor metrics of them
    statistics_minutes_days: Annotated[int, Meta(ge=1, le=400)] = 14  # then only hours are kept
    metrics_token: str = ""  # what /metrics asks for; empty: nothing

    # Accounts
    access_token_ttl_s: Count = 15 * 60
    refresh_token_ttl_s: Count = 30 * 24 * 3600  # a session that is not renewed for so long ends
    session_ttl_s: Count = 90 * 24 * 3600  # then it ends however often it was renewed
    max_sessions: Count = 50  # of one user; past it the one that was used longest ago ends
    max_api_keys: Count = 100  # of one tenant
    invitation_ttl_s: Seconds = 7 * 24 * 3600.0  # how long the token of an invitation is good for
    max_invitations: Count = 100  # of one tenant that wait, or were revoked within a day of being sent
    max_organizations: Count = 100  # that one user is in
    api_key_max_days: Annotated[int, Meta(ge=1, le=36_500)] = 3_650  # that a key which expires can last
    api_key_grace_s: Annotated[int, Meta(ge=0, le=30 * 24 * 3600)] = (
        24 * 3600
    )  # of the secret before a rotation
    credential_ttl_s: Seconds = (
        5.0  # how long a revoked key, or an ended session, works if that message is lost
    )
    credential_grace_s: Seconds = 60.0  # how long what was known before works while PostgreSQL is away
    audit_days: Days = 365  # that the audit log goes back; 0: without end

    # Log-in by OpenID Connect (docs/how-to/log-in-with-oidc.md)
    oidc_issuer: str = ""  # the provider's URL, as it spells it itself; empty: no such log-in
    oidc_client_id: str = ""  # what the provider calls this platform
    oidc_client_secret: str = ""  # empty: the provider takes it for a public client
    oidc_scopes: str = "openid email profile"
    oidc_allowed_domains: str = ""  # of email addresses that log in so, comma between; empty: any
    oidc_name: str = "the provider of log-ins"  # what people call it

    # What one tenant may have and use; 0: no quota. Its own quotas go first (docs/how-to/set-quotas.md)
    quota_storage_bytes: Allowance = 0  # versions, uploads, inputs and results of jobs
    quota_models: Allowance = 0
    quota_versions: Allowance = 0  # of all its models
    quota_job_rows_per_day: Allowance = 0  # a day ends at midnight in UTC
    quota_predictions_per_day: Allowance = 0  # requests, of any number of rows

    # Mail
    mail_url: str = ""  # file:///folder, smtp://user:password@host:port or smtps://…; empty: none is sent
    mail_from: str = "modelyard@localhost"  # or: Name <address>

    # Requests a minute, as many of them at once; 0: no limit
    predict_per_minute: PerMinute = 1_000_000  # of one key, or of one user without a key
    read_per_minute: PerMinute = 6_000  # likewise
    write_per_minute: PerMinute = 600  # likewise
    upload_per_minute: PerMinute = 120  # likewise
    login_per_minute: PerMinute = 10  # of one address for one account
    login_address_per_minute: PerMinute = 60  # of one address in all, refreshed tokens too
    rate_limit_timeout_s: Seconds = 0.1  # past it requests pass uncounted, but for those that log in

    # Uploads
    upload_max_bytes: Count = 2048 * MIB
    sample_max_bytes: Count = 16 * MIB
    verdict_wait_s: Seconds = 10.0  # how long an upload waits for its verdict unless told otherwise
    warm_wait_s: Seconds = 10.0  # how long a promotion waits until the version is loaded, likewise

    # Real time
    predict_max_bytes: Count = 16 * MIB
    predict_deadline_s: Seconds = 5.0  # unless the request sets its own
    predict_max_deadline_s: Seconds = 60.0
    max_pending_rows: Count = 20_000  # rows of one version that one API process lets wait; past it 503
    max_pending_s: Seconds = 2.0  # how long a new request may have to wait for its turn; past it 503
    max_pending_requests: Count = 4096  # of all versions, in one API process; half of it is shared by tenants
    max_batch_rows: Count = 256  # rows that one call of a model takes
    max_loaded_versions: Count = 20  # versions that one predict worker keeps warm
    max_hosts_per_version: Count = 16  # processes of one version on one predict worker
    idle_cores_for_host: Annotated[float, Meta(ge=0)] = 0.5  # without so many a busy version gets no more
    model_memory_bytes: Annotated[int, Meta(ge=0)] = 0  # of one worker's models; 0: 60 % of what there is
    loading_at_once: Count = 2  # models that one predict worker opens side by side
    max_pinned_replicas: Count = 8  # sum of min_replicas over the models of one tenant
    worker_heartbeat_s: Seconds = 0.5  # a worker silent for three of these is taken for dead
    route_ttl_s: Seconds = 5.0  # how stale a route may be if its invalidation message is lost
    route_grace_s: Seconds = 60.0  # how old one may be while the database does not answer

    # Model hosts
    sandbox: Literal["enforce", "warn"] = "enforce"  # where cells do not hold: refuse code, or take the risk
    host_memory_bytes: Annotated[int, Meta(ge=64 * MIB)] = 2048 * MIB  # that one host may have for itself
    load_timeout_s: Seconds = 60.0
    pickles: Literal["refused", "allowlisted", "sandboxed", "any"] = "sandboxed"  # what they may import
    unpacked_max_bytes: Count = 8192 * MIB  # what a compressed file or an archive may become
    call_timeout_s: Seconds = 30.0

    # Environments of other library versions, built by uv
    environments_dir: str = ""  # on this machine; empty: in the store's folder, or in the user's cache
    environment_wheels: str = ""  # a folder of wheels that are taken beside those of the index
    environment_offline: bool = False  # nothing but that folder and what was downloaded before
    environments_max_bytes: Count = 20 * 1024 * MIB  # past it those used longest ago are removed
    environment_build_timeout_s: Seconds = 600.0

    # Jobs
    job_max_bytes: Count = 64 * 1024 * MIB
    job_max_files: Count = 1000  # in one job; all together have job_max_bytes at most
    job_queues: Annotated[str, Meta(pattern=r"^(high|normal|low)(,(high|normal|low))*$")] = "high,normal,low"
    job_chunks_per_tenant: Annotated[int, Meta(ge=0)] = 0  # that run at once, on all workers; 0: no cap
    max_open_jobs: Count = 1000  # of one tenant that have not ended; past it 429
    job_rows_max_bytes: Count = 16 * MIB  # of a submission in JSON, with the rows in it
    max_uploads: Count = 16  # of one tenant: files for jobs that arrive in several requests, or wait for use
    upload_ttl_s: Seconds = 24 * 3600.0  # then one that makes no progress, or is not used, is removed
    max_schedules: Count = 100  # of one tenant
    job_threads: Count = 2  # chunks that one batch worker runs side by side, one model host each
    chunk_bytes: Count = 64 * MIB
    chunk_batch_rows: Count = 16_384  # rows that one call of a model takes in a job
    job_call_timeout_s: Seconds = 300.0  # of one such call
    lease_s: Seconds = 15.0  # a chunk whose lease is older has lost its worker
    chunk_attempts: Count = 3
    resend_after_s: Seconds = 20.0  # a message unanswered this long is sent again
    allow_private_inputs: bool = False  # inputs by URL from loopback and private addresses
    input_buckets: str = ""  # s3://bucket/prefix, comma between; {tenant_id} stands for each tenant's own
    fetch_timeout_s: Seconds = 4 * 3600.0  # of one such input in all
    fetch_silence_s: Seconds = 30.0  # of its server, before the transfer counts as broken off
    result_link_ttl_s: Seconds = 300.0  # how long a link into the bucket may be used
    job_retention_days: Days = 30  # after its end a job's files are removed; 0: never
    job_record_days: Days = 365  # after its end the job itself is; 0: never
    max_event_streams: Count = 32  # by which one tenant follows jobs at one API process

    # Webhooks
    webhook_timeout_s: Seconds = 15.0
    webhook_threads: Count = 32  # attempts side by side; they mostly wait, some for the whole limit
    webhook_attempts_per_endpoint: Count = 4  # that run at once, on all workers: the others wait for these
    webhook_attempts_per_tenant: Count = 8  # likewise, at all endpoints of one tenant
    max_webhooks: Count = 50  # endpoints of one tenant
    webhook_secret_overlap_s: Annotated[float, Meta(ge=0)] = 24 * 3600.0  # after a rotation both secrets sign
    webhook_record_days: Days = 30  # after their event deliveries that have ended are removed; 0: never

    @property
    def lasting_key(self) -> str:
        """Derives what must outlive a SECRET_KEY."""
        return self.data_key or self.secret_key

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings from `env`.

        Raises:
            SettingsInvalid: a variable is missing or does not fit; the text names it.
        """
        try:
            settings = cls._read(with_secret_files(env))
            check_oidc(
                issuer=settings.oidc_issuer,
                client_id=settings.oidc_client_id,
                scopes=settings.oidc_scopes,
                https_only=settings.environment == "production",
            )
            if settings.environment == "production":
                check_production(keys=settings.root_keys(), public_url=settings.public_url)
        except msgspec.ValidationError as error:
            raise SettingsInvalid(_readable(error)) from None
        except ValueError as error:
            raise SettingsInvalid(str(error)) from None
        return settings

    @classmethod
    def _read(cls, env: Mapping[str, str]) -> Self:
        given = {field: env[field.upper()] for field in cls.__struct_fields__ if env.get(field.upper())}
        check_urls(given)
        settings = msgspec.convert(given, cls, strict=False)
        _check_keys(settings)
        return msgspec.structs.replace(
            settings,
            broker_redis_url=settings.broker_redis_url or _with_redis_database(settings.redis_url, 1),
            cache_redis_url=settings.cache_redis_url or settings.redis_url,
            public_url=(settings.public_url or f"http://localhost:{settings.port}").rstrip("/"),
        )

    def root_keys(self) -> dict[str, str]:
        """Those that other keys are derived from, as their variables are called; without what is not set."""
        names = ("secret_key", "secret_key_previous", "data_key")
        return {name.upper(): value for name in names if (value := getattr(self, name))}

    def secrets(self) -> set[str]:
        """What must not be seen anywhere."""
        return secrets_in((name, getattr(self, name)) for name in SECRETS)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [(name, shown(name, getattr(self, name))) for name in self.__struct_fields__]


def _check_keys(settings: Settings) -> None:
    """Refuse to replace the secret that webhook secrets still hang on: receivers would know none of them."""
    if settings.secret_key_previous and not settings.data_key:
        raise SettingsInvalid(
            "SECRET_KEY_PREVIOUS needs DATA_KEY: set it to the first SECRET_KEY that this platform ever had"
            " (where you never replaced it before, to SECRET_KEY_PREVIOUS), and keep it from now on"
        )


def _readable(error: msgspec.ValidationError) -> str:
    """Msgspec's text, in the words of somebody who sets variables."""
    text = str(error).replace("Object missing required field", "missing variable")
    for field in Settings.__struct_fields__:
        text = text.replace(f"`{field}`", field.upper()).replace(f"`$.{field}`", field.upper())
    return text


def _with_redis_database(url: str, number: int) -> str:
    """The same server, another database."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return urlunsplit(parts._replace(query=f"db={number}"))
    return urlunsplit(parts._replace(path=f"/{number}"))
