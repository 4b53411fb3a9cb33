"""Tells whoever runs the platform how well model hosts are locked in."""

from typing import Final

import structlog

from shared.metrics.registry import gauge
from workers.hosting.confinement import Confinement

log = structlog.get_logger()

_unconfined: Final = gauge(
    "modelyard_unconfined_workers", "Processes whose model hosts are not locked in as they should be."
)


def tell_confinement(confinement: Confinement | None, *, sandbox: str) -> None:
    """In one line of the log, and as a metric."""
    if confinement is None:
        return
    _unconfined.set(0 if confinement.holds else 1)
    facts = {"tier": confinement.tier, **_facts(confinement)}
    if confinement.holds:
        log.info("sandbox holds", **facts)
        return
    consequence = (
        "models that run code are opened all the same"
        if sandbox == "warn"
        else "models that run code are refused"
    )
    log.error(
        "sandbox does not hold",
        consequence=consequence,
        a_model_could=confinement.escapes,
        remedy="see `make doctor`",
        **facts,
    )


def _facts(confinement: Confinement) -> dict[str, object]:
    layers = confinement.layers
    return {
        "system_calls": layers.filter,
        "landlock": layers.landlock,
        "identity": layers.identity,
        "namespaces": layers.namespaces,
    }
