"""The runtimes, a file a family of formats. To add one, write its file and name it here."""

from workers.host.artifact import Artifact, not_a_model
from workers.host.runtimes.catboost import CatboostRuntime
from workers.host.runtimes.keras import KerasRuntime
from workers.host.runtimes.lightgbm import LightgbmRuntime
from workers.host.runtimes.mlflow import MlflowRuntime
from workers.host.runtimes.onnx import OnnxRuntime
from workers.host.runtimes.python import PythonRuntime
from workers.host.runtimes.runtime import Runtime
from workers.host.runtimes.sklearn import SklearnRuntime
from workers.host.runtimes.skops import SkopsRuntime
from workers.host.runtimes.tensorflow import TensorflowRuntime
from workers.host.runtimes.torch import TorchRuntime
from workers.host.runtimes.xgboost import XgboostRuntime

# Those of single files, in the order that they are asked: a pickle of torch.save is none of an estimator.
_FILES: tuple[Runtime, ...] = (
    TorchRuntime(),
    KerasRuntime(),
    SklearnRuntime(),
    OnnxRuntime(),
    XgboostRuntime(),
    LightgbmRuntime(),
    CatboostRuntime(),
    SkopsRuntime(),
)
RUNTIMES: tuple[Runtime, ...] = (TensorflowRuntime(), MlflowRuntime(_FILES), PythonRuntime(), *_FILES)


def runtime_of(artifact: Artifact) -> Runtime:
    """The runtime that opens this artifact.

    Raises:
        Rejected: none does; the reason says what the file is instead.
    """
    for runtime in RUNTIMES:
        if runtime.recognises(artifact):
            return runtime
    raise not_a_model(artifact.head)
