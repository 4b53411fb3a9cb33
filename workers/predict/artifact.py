"""What it takes to load a version."""

from uuid import UUID

import msgspec

from shared.catalog.model_settings import ModelSettings
from shared.catalog.verdict import Engine, EnvironmentRef, Layout, Signature


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to load a version.

    Attributes:
        environment: that its hosts run in; None until that is known, and for the platform's own.
        engine: of its verdict, to answer by unless the settings say otherwise; None: the model's own library.
        memory_bytes: by which it made a host grow when it was judged.
        usual_call_s: what a call took then.
    """

    version_id: UUID
    model_id: UUID
    artifact_key: str
    sample_key: str | None = None
    environment: EnvironmentRef | None = None
    signature: Signature | None = None  # None until there is a verdict
    engine: Engine | None = None
    memory_bytes: int = 0
    usual_call_s: float | None = None
    settings: ModelSettings = ModelSettings()

    @property
    def layout(self) -> Layout:
        """How the model takes its rows."""
        return self.signature.layout if self.signature else Layout.MATRIX
