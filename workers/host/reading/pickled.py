"""What an artifact that is a pickle holds, told without loading it."""

from shared.catalog.verdict import Contents
from workers.host.artifact import Artifact
from workers.host.reading.compression import compression_of, unpacked
from workers.host.reading.pickle_reading import MOST_TOLD, PickleReading, read_pickle
from workers.host.reading.versions import libraries_of, needs_of


def pickled_contents(artifact: Artifact, *, runtime: str) -> Contents:
    """Read the pickle. From then on it may import no other names than those that were read.

    Raises:
        Rejected: it is damaged, unpacks to too much, or cannot be read without running it.
    """
    fmt = format_of(artifact)
    file = unpacked(artifact)
    reading = read_pickle(file, joblib=fmt == "joblib", size_bytes=artifact.size_bytes)
    artifact.importable = reading.names
    unpacked_bytes = file.tell() if compression_of(artifact) else None
    artifact.file.seek(0)
    return Contents(
        format=fmt,
        runtime=runtime,
        unpacked_bytes=unpacked_bytes,
        imports=reading.imports[:MOST_TOLD],
        imports_count=len(reading.imports),
        libraries=libraries_of(reading),
        warnings=_warnings(reading),
        needs=needs_of(reading),
    )


def format_of(artifact: Artifact) -> str:
    """`joblib`, where it is compressed or holds arrays as joblib writes them; else `pickle`."""
    artifact.file.seek(0)
    compressed = compression_of(artifact) is not None
    return "joblib" if compressed or artifact.contains(b"joblib.numpy_pickle") else "pickle"


def _warnings(reading: PickleReading) -> list[str]:
    warnings = []
    if reading.pickles > 1:
        warnings.append(f"The file holds {reading.pickles} objects one after the other; the first is served.")
    if reading.trailing:
        warnings.append("Something follows the model in the file, which nothing reads.")
    if len(reading.sklearn_versions) > 1:
        versions = ", ".join(sorted(reading.sklearn_versions))
        warnings.append(f"Parts of the model were saved with different versions of scikit-learn: {versions}.")
    return warnings
