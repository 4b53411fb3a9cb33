"""TensorFlow: SavedModel folders as zip archives, which carry their graph along."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from shared.catalog.verdict import Contents
from workers.host.artifact import Artifact
from workers.host.error_text import shown
from workers.host.rejection import Rejected
from workers.host.rows import Tensors
from workers.host.runtimes import protobuf
from workers.host.runtimes.library import library, made_with, unreadable
from workers.host.runtimes.library_model import Facts
from workers.host.runtimes.tensor_model import TensorModel
from workers.host.runtimes.tensors import Batch, TensorInput, batch_of
from workers.host.zipped import ZippedFolder, folder_with, room

FORMAT = "savedmodel"
GRAPH = "saved_model.pb"
_SERVING = "serving_default"
_META_GRAPHS, _META_INFO, _VERSION = 2, 1, 5  # fields of SavedModel, MetaGraphDef, MetaInfoDef
_REMEDY = (
    "Save it with a signature: `tf.saved_model.save(model, 'model', signatures=...)`, or "
    "`model.export('model')` of Keras, and zip that folder."
)


class TensorflowRuntime:
    """Opens SavedModels, by the signature that they are served by."""

    name = "tensorflow"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether a SavedModel's graph is at the root of a zip archive, or one folder down."""
        folder = folder_with(artifact, GRAPH)
        return folder is not None and GRAPH in folder.names

    def read(self, artifact: Artifact) -> Contents:
        """Which version of TensorFlow wrote it."""
        return self.read_folder(_folder(artifact))

    def read_folder(self, folder: ZippedFolder) -> Contents:
        """Likewise, of a folder inside an archive."""
        return Contents(format=FORMAT, runtime=self.name, needs={"tensorflow": _written_by(folder)})

    def load(self, artifact: Artifact) -> TensorModel:
        """Open it on the CPU."""
        return self.load_folder(_folder(artifact))

    def load_folder(self, folder: ZippedFolder) -> TensorModel:
        """Likewise, of a folder inside an archive."""
        version, tf = _written_by(folder), imported()
        place = folder.unpack(room() / "savedmodel")
        try:
            return _opened(tf, place, version)
        except Rejected:
            raise
        except Exception as error:
            raise unreadable("The SavedModel", error, module=tf, version=version, remedy=_REMEDY) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)  # all of it is in memory by now


def imported() -> Any:
    """TensorFlow, held to one thread a pool.

    Raises:
        Rejected: it is not there.
    """
    tf = library("tensorflow")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def input_of(name: str, spec: Any, *, alone: bool = False) -> TensorInput:
    """An input that TensorFlow describes by a dtype and a shape whose first dimension counts rows."""
    sizes = None if spec.shape is None or getattr(spec.shape, "rank", 0) is None else tuple(spec.shape)
    row = sizes if alone or sizes is None else sizes[1:]
    shape = None if row is None or None in row else tuple(int(size) for size in row)
    return TensorInput(name=name, dtype=_numpy_dtype(spec.dtype), shape=shape)


def first_of(spec: Any) -> int | None:
    """The first dimension, where it is fixed."""
    if spec.shape is None or getattr(spec.shape, "rank", 0) is None:
        return None
    sizes = tuple(spec.shape)
    return sizes[0] if sizes else 1


def constants(tf: Any, tensors: Tensors) -> dict[str, Any]:
    """Numpy's arrays as TensorFlow's."""
    return {name: tf.constant(_text_or_number(values)) for name, values in tensors.items()}


def array(tf: Any, value: Any) -> Any:
    """TensorFlow's tensor as numpy's array."""
    return (tf.cast(value, tf.float32) if value.dtype == tf.bfloat16 else value).numpy()


def _opened(tf: Any, place: Path, version: str | None) -> TensorModel:
    loaded = tf.saved_model.load(str(place))
    function = _signature_of(loaded)
    # By name: in which order a load finds them is left to chance.
    specs = dict(sorted(function.structured_input_signature[1].items()))
    inputs, batch = _inputs(specs, dict(sorted(function.structured_outputs.items())))

    def call(tensors: Tensors) -> Tensors:
        outputs = function(**constants(tf, tensors))
        return {name: array(tf, output) for name, output in sorted(outputs.items())}

    facts = Facts(
        format=FORMAT,
        estimator="tensorflow.SavedModel",
        libraries=made_with("tensorflow", version, tf),
    )
    return TensorModel(
        facts, call, loaded, inputs=inputs, batch=batch
    )  # its variables live as long as it does


def _signature_of(loaded: Any) -> Any:
    signatures = dict(getattr(loaded, "signatures", {}))
    if _SERVING in signatures:
        return signatures[_SERVING]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    names = ", ".join(shown(name) for name in signatures) or "none"
    raise Rejected(
        "signature_missing", f"The SavedModel has no `{_SERVING}` among its signatures ({names}).", _REMEDY
    )


def _inputs(specs: dict[str, Any], outputs: dict[str, Any]) -> tuple[list[TensorInput], Batch]:
    if not specs or not outputs:
        raise Rejected("inputs_unsupported", "The SavedModel's signature takes or gives nothing.", _REMEDY)
    answered = first_of(next(iter(outputs.values())))
    batch = batch_of([first_of(spec) for spec in specs.values()], answered)
    return [input_of(name, spec, alone=batch.alone) for name, spec in specs.items()], batch


def _numpy_dtype(dtype: Any) -> str:
    name = str(getattr(dtype, "name", dtype))
    if name == "string":
        return "object"
    try:
        return np.dtype(name).name
    except TypeError as error:
        raise Rejected("datatype_unsupported", f"The model takes tensors of {name}.", _REMEDY) from error


def _text_or_number(values: Any) -> Any:
    return values.astype(str) if values.dtype.kind == "O" else values


def _folder(artifact: Artifact) -> ZippedFolder:
    folder = folder_with(artifact, GRAPH)
    if folder is None or GRAPH not in folder.names:
        raise TypeError("asked of an artifact that was not recognised")
    return folder


def _written_by(folder: ZippedFolder) -> str | None:
    try:
        graph = protobuf.first(folder.read(GRAPH), _META_GRAPHS)
        version = bytes(protobuf.first(protobuf.first(graph, _META_INFO), _VERSION)).decode()
    except (protobuf.NotProtobuf, UnicodeDecodeError) as error:
        raise Rejected("load_failed", f"`{GRAPH}` in the archive cannot be read.", _REMEDY) from error
    return version or None
