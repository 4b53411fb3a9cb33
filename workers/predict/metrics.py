"""What a predict worker counts."""

from typing import Final

from shared.metrics.registry import counter, gauge, histogram

_BATCH_ROWS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

_batch_rows = histogram(
    "modelyard_predict_batch_rows", "Rows that were joined for one call of a model.", bounds=_BATCH_ROWS
)
_host_losses = counter(
    "modelyard_host_losses_total", "Model hosts that died, hung or grew too big, and are started anew."
)
_loaded_versions = gauge("modelyard_loaded_versions", "Versions that predict workers hold or are loading.")


def observe_batch(rows: int) -> None:
    """Count a call of a model."""
    _batch_rows.observe(rows)


def count_host_loss() -> None:
    """Count a model host that was lost."""
    _host_losses.inc()


def tell_loaded_versions(versions: int) -> None:
    """Say how many versions this worker holds now."""
    _loaded_versions.set(versions)
