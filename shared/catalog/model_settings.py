"""How one model is served: what its owner may tune, and within which bounds."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.catalog.errors import InvalidModelSettings

CacheTtl = Annotated[int, Meta(ge=1, le=86_400)]
BatchRows = Annotated[int, Meta(ge=1, le=4096)]
BatchDelay = Annotated[float, Meta(ge=0, le=100)]
CallTimeout = Annotated[int, Meta(ge=10, le=600_000)]
LeastReplicas = Annotated[int, Meta(ge=0, le=16)]
MostReplicas = Annotated[int, Meta(ge=1, le=16)]
ExtraColumns = Literal["ignore", "refuse"]


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one model.

    Attributes:
        accelerate: a faster engine may answer where its answers were seen to be the same.
        cache: keep answers for the same input; null: where the model always gives the same answer.
        max_batch_rows: of one call of the model; null: the platform's own limit.
        max_batch_delay_ms: for which a request may wait for others to share its call.
        call_timeout_ms: of one call of the model; null: the platform's own limit.
        min_replicas: processes that always hold the serving version, over all workers.
        max_replicas: processes that may hold it, over all workers; null: as many as there is use for.
        extra_columns: what becomes of columns that the model does not take.
    """

    accelerate: bool = True
    cache: bool | None = None
    cache_ttl_s: CacheTtl = 300
    max_batch_rows: BatchRows | None = None
    max_batch_delay_ms: BatchDelay = 0
    call_timeout_ms: CallTimeout | None = None
    min_replicas: LeastReplicas = 0
    max_replicas: MostReplicas | None = None
    extra_columns: ExtraColumns = "ignore"

    @property
    def refuse_extra(self) -> bool:
        """Whether columns that the model does not take are refused."""
        return self.extra_columns == "refuse"

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """The settings of a row of `models`, without what only a newer release knows."""
        known = {name: stored[name] for name in cls.__struct_fields__ if name in stored}
        return msgspec.convert(known, cls)


class SettingsChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that are given change, the others stay; null gives the default back."""

    accelerate: bool | UnsetType | None = UNSET
    cache: bool | UnsetType | None = UNSET
    cache_ttl_s: CacheTtl | UnsetType | None = UNSET
    max_batch_rows: BatchRows | UnsetType | None = UNSET
    max_batch_delay_ms: BatchDelay | UnsetType | None = UNSET
    call_timeout_ms: CallTimeout | UnsetType | None = UNSET
    min_replicas: LeastReplicas | UnsetType | None = UNSET
    max_replicas: MostReplicas | UnsetType | None = UNSET
    extra_columns: ExtraColumns | UnsetType | None = UNSET


def changed_settings(stored: Mapping[str, Any], changes: SettingsChanges) -> dict[str, Any]:
    """What is to be stored: only what differs from the defaults.

    Raises:
        InvalidModelSettings: together they contradict each other.
    """
    given = msgspec.to_builtins(changes)  # without what is unset
    merged = {name: value for name, value in {**stored, **given}.items() if value is not None}
    settings = ModelSettings.from_stored(merged)
    if settings.max_replicas is not None and settings.max_replicas < settings.min_replicas:
        at_fault = "min_replicas" if "min_replicas" in given else "max_replicas"
        raise InvalidModelSettings(
            f"max_replicas is {settings.max_replicas}, below min_replicas, which is {settings.min_replicas}",
            setting=at_fault,
        )
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    return {name: value for name, value in shown.items() if value != _DEFAULTS[name]}


_DEFAULTS: Mapping[str, Any] = msgspec.to_builtins(ModelSettings())
