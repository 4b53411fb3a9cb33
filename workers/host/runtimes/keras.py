"""Keras: models saved as `.keras`, or as HDF5 by older versions, computed by TensorFlow."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.catalog.verdict import Contents
from workers.host.artifact import Artifact
from workers.host.error_text import describe
from workers.host.rejection import Rejected
from workers.host.rows import Tensors
from workers.host.runtimes.library import library, made_with, unreadable
from workers.host.runtimes.library_model import Facts
from workers.host.runtimes.tensor_model import TensorModel
from workers.host.runtimes.tensorflow import array, constants, first_of, imported, input_of
from workers.host.runtimes.tensors import batch_of
from workers.host.zipped import opened, room

_ZIPPED = "keras"
_HDF5 = "keras-h5"
_HDF5_MAGIC = b"\x89HDF\r\n"
_FILES = {"config.json", "metadata.json"}
_VERSION = re.compile(r"\d+\.\d+\.\d+")
# HDF5 keeps the attributes keras_version and backend beside one another.
_HDF5_VERSION = re.compile(rb"(\d+\.\d+\.\d+)[^\0]{0,8}\0.{0,24}?(?:tensorflow|jax|torch)", re.DOTALL)
_EXPORT = (
    "Export the graph, which needs no Python code: `model.export('model')`, and upload that folder as a zip."
)


class KerasRuntime:
    """Opens saved models; never Python code that came in one, which Keras's safe mode refuses."""

    name = "keras"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether it is HDF5, or a zip archive with a configuration and weights."""
        return _format(artifact) is not None

    def read(self, artifact: Artifact) -> Contents:
        """Which version of Keras wrote it."""
        fmt = _format(artifact)
        version = _zipped_version(artifact) if fmt == _ZIPPED else _hdf5_version(artifact)
        return Contents(
            format=str(fmt),
            runtime=self.name,
            needs={"tensorflow": None, "keras": version},
            hides_code=True,  # the file also says by which Keras, and older ones have run Lambda layers
        )

    def load(self, artifact: Artifact) -> TensorModel:
        """Open it on the CPU."""
        contents = self.read(artifact)
        tf = imported()
        keras = library("keras")
        version = contents.needs["keras"]
        place = room() / ("model.keras" if contents.format == _ZIPPED else "model.h5")
        try:
            with place.open("wb") as copy:
                shutil.copyfileobj(artifact.file, copy, 1 << 20)
            return _opened(tf, keras, place, contents)
        except Rejected:
            raise
        except Exception as error:
            raise _unreadable(error, keras, version) from error
        finally:
            place.unlink(missing_ok=True)


def _opened(tf: Any, keras: Any, place: Path, contents: Contents) -> TensorModel:
    model = keras.saving.load_model(place, compile=False, safe_mode=True)
    specs = _inputs(model)
    batch = batch_of([first_of(spec) for spec in specs.values()], first_of(model.outputs[0]))
    inputs = [input_of(name, spec, alone=batch.alone) for name, spec in specs.items()]
    signature = [tf.TensorSpec(spec.shape, spec.dtype) for spec in specs.values()]

    def compute(*values: Any) -> dict[str, Any]:
        return _named(model, model(values[0] if len(values) == 1 else list(values), training=False))

    graph = tf.function(compute, input_signature=signature)

    def call(tensors: Tensors) -> Tensors:
        given = constants(tf, tensors)
        return {name: array(tf, value) for name, value in graph(*(given[name] for name in specs)).items()}

    facts = Facts(
        format=contents.format,
        estimator=f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}",
        libraries=made_with("keras", contents.needs["keras"], keras) | made_with("tensorflow", None, tf),
    )
    return TensorModel(facts, call, model, inputs=inputs, batch=batch)


def _inputs(model: Any) -> dict[str, Any]:
    try:
        tensors = model.inputs
    except (AttributeError, ValueError):
        tensors = None
    if not tensors or not getattr(model, "outputs", None):
        raise Rejected(
            "inputs_unknown", f"The {type(model).__name__} does not say which inputs it takes.", _EXPORT
        )
    return {tensor.name.partition(":")[0]: tensor for tensor in tensors}


def _named(model: Any, answer: Any) -> dict[str, Any]:
    """The tensors of an answer by name, the main one first."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if isinstance(answer, list | tuple):
        names = getattr(model, "output_names", None) or [f"output_{at}" for at in range(len(answer))]
        return dict(zip(names, answer, strict=True))
    return {"output": answer}


def _format(artifact: Artifact) -> str | None:
    if artifact.head.startswith(_HDF5_MAGIC):
        return _HDF5
    archive = opened(artifact)
    if archive is None or not archive.names >= _FILES:
        return None
    return _ZIPPED if any(name.startswith("model.weights") for name in archive.names) else None


def _zipped_version(artifact: Artifact) -> str | None:
    archive = opened(artifact)
    try:
        said = json.loads(archive.read("metadata.json")) if archive else {}
        found = _VERSION.match(str(said.get("keras_version", "")))
    except (ValueError, AttributeError, RecursionError) as error:
        raise Rejected(
            "load_failed",
            "`metadata.json` in the file cannot be read.",
            "Save it again: `model.save('model.keras')`.",
        ) from error
    return found[0] if found else None


def _hdf5_version(artifact: Artifact) -> str | None:
    if not artifact.contains(b"model_config"):
        raise Rejected(
            "weights_without_code",
            "The HDF5 file holds no Keras model: at most its weights.",
            "Save the whole model: `model.save('model.keras')`.",
        )
    found = _HDF5_VERSION.search(artifact.head)
    return found[1].decode() if found else None


def _unreadable(error: Exception, keras: Any, version: str | None) -> Rejected:
    text = str(error)
    if "safe_mode" in text or "Lambda" in text:
        return Rejected(
            "code_in_model", "The model holds a Lambda layer, whose Python code is not run here.", _EXPORT
        )
    if "Could not locate" in text or "register_keras_serializable" in text:
        return Rejected(
            "class_not_importable",
            f"The model uses a class that is not in the file: {describe(error)}.",
            _EXPORT,
        )
    remedy = f"Save it again, or: {_EXPORT}"
    return unreadable("The model", error, module=keras, version=version, remedy=remedy)
