"""PyTorch: programs of torch.export (`.pt2`) and TorchScript, which carry their code along as a graph."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.catalog.verdict import Contents
from workers.host.artifact import Artifact
from workers.host.rejection import Rejected
from workers.host.rows import Tensors
from workers.host.runtimes.library import library, made_with, unreadable
from workers.host.runtimes.library_model import Facts
from workers.host.runtimes.tensor_model import TensorModel
from workers.host.runtimes.torch_inputs import exported_inputs, scripted_inputs
from workers.host.zipped import ZippedFolder, opened

_EXPORTED = "pt2"
_SCRIPTED = "torchscript"
_SAVED = "torch"  # a pickle of torch.save
_OLD_PROGRAM = "serialized_exported_program.json"  # of torch 2.1 to 2.6
_OLD_SAVE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before 1.6
_SIGNATURE = "modelyard.json"  # an extra file that a TorchScript archive may carry
_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_REMEDY = (
    "Save the program with its graph: `torch.export.save(torch.export.export(model.eval(), (example,), "
    "dynamic_shapes=({0: torch.export.Dim('rows')},)), 'model.pt2')`, or "
    "`torch.jit.script(model.eval()).save('model.pt')`."
)


class TorchRuntime:
    """Opens what torch.export and torch.jit save; not pickled modules, whose classes it has not."""

    name = "torch"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether its files are those of a PyTorch archive."""
        return _kind(artifact) is not None

    def read(self, artifact: Artifact) -> Contents:
        """Which version of PyTorch wrote it, where it says."""
        kind, folder = _kind(artifact), _folder(artifact)
        if kind == _SAVED or folder is None:
            raise Rejected(
                "weights_without_code",
                "The file was written by `torch.save`: it holds weights, and not what is computed with them.",
                _REMEDY,
            )
        _refuse_compiled(folder)
        version = _exporting_version(folder) if kind == _EXPORTED else None
        return Contents(
            format=str(kind),
            runtime=self.name,
            needs={"torch": version},
            hides_code=kind == _EXPORTED,  # PyTorch unpickles the examples and constants in it
        )

    def load(self, artifact: Artifact) -> TensorModel:
        """Open the program on the CPU."""
        contents = self.read(artifact)
        torch = library("torch")
        torch.set_num_threads(1)
        open_program = _exported if contents.format == _EXPORTED else _scripted
        try:
            return open_program(torch, artifact, contents.needs["torch"])
        except Rejected:
            raise
        except Exception as error:
            raise unreadable(
                "The program", error, module=torch, version=contents.needs["torch"], remedy=_REMEDY
            ) from error


def _exported(torch: Any, artifact: Artifact, version: str | None) -> TensorModel:
    program = torch.export.load(artifact.file)
    inputs, batch, warnings = exported_inputs(program)
    module = program.module()
    constants = inputs.constants

    def call(tensors: Tensors) -> Tensors:
        with torch.inference_mode():
            given = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}
            values = [constants[name] if name in constants else given[name] for name in inputs.order]
            keywords = dict(zip(inputs.keywords, values[inputs.positional :], strict=True))
            return _outputs(torch, module(*values[: inputs.positional], **keywords))

    facts = Facts(
        format=_EXPORTED,
        estimator="torch.export.ExportedProgram",
        libraries=made_with("torch", version, torch),
        warnings=warnings,
    )
    return TensorModel(facts, call, module, inputs=inputs.tensors, batch=batch)


def _scripted(torch: Any, artifact: Artifact, version: str | None) -> TensorModel:
    extra = {_SIGNATURE: ""}
    module = torch.jit.load(artifact.file, map_location="cpu", _extra_files=extra)
    module.eval()
    inputs, batch = scripted_inputs(module, extra[_SIGNATURE])

    def call(tensors: Tensors) -> Tensors:
        with torch.inference_mode():
            given = [torch.from_numpy(np.ascontiguousarray(tensors[one.name])) for one in inputs]
            return _outputs(torch, module(*given))

    facts = Facts(
        format=_SCRIPTED,
        estimator=f"torch.jit.{module.original_name}",
        libraries=made_with("torch", version, torch),
    )
    return TensorModel(facts, call, module, inputs=inputs, batch=batch)


def _outputs(torch: Any, answer: Any) -> Tensors:
    """The tensors of an answer by name, the main one first.

    Raises:
        TypeError: it is none, and holds none.
    """
    named = {name: value for name, value in _named(torch, answer) if isinstance(value, torch.Tensor)}
    if not named:
        raise TypeError(f"the model answered a {type(answer).__name__}, which holds no tensor")
    return {name: _array(torch, value) for name, value in named.items()}


def _named(torch: Any, answer: Any) -> list[tuple[str, Any]]:
    if isinstance(answer, torch.Tensor):
        return [("output", answer)]
    if isinstance(answer, Mapping):
        return [(str(name), value) for name, value in answer.items()]
    if isinstance(answer, tuple | list):
        names = getattr(answer, "_fields", None) or [f"output_{at}" for at in range(len(answer))]
        return list(zip(names, answer, strict=True))
    return []


def _array(torch: Any, tensor: Any) -> Any:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _folder(artifact: Artifact) -> ZippedFolder | None:
    """The archive's one folder; older programs lie at its root."""
    whole = opened(artifact)
    if whole is None or _OLD_PROGRAM in whole.names:
        return whole
    tops = {name.partition("/")[0] for name in whole.names}
    return whole.inside(tops.pop()) if len(tops) == 1 else None


def _kind(artifact: Artifact) -> str | None:
    if artifact.head.startswith(_OLD_SAVE):
        return _SAVED
    folder = _folder(artifact)
    if folder is None:
        return None
    names = folder.names
    if _OLD_PROGRAM in names or ("archive_format" in names and folder.read("archive_format") == b"pt2"):
        return _EXPORTED
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return _SCRIPTED
    return _SAVED if "data.pkl" in names and "version" in names else None


def _refuse_compiled(folder: ZippedFolder) -> None:
    if any(name.startswith("data/aotinductor/") for name in folder.names):
        raise Rejected(
            "compiled_for_a_machine",
            "The file holds a program that AOTInductor compiled for one kind of machine.",
            "Save the program before it is compiled: `torch.export.save(program, 'model.pt2')`.",
        )


def _exporting_version(folder: ZippedFolder) -> str | None:
    programs = [name for name in folder.names if name.startswith("models/") and name.endswith(".json")]
    if len(programs) > 1:
        raise Rejected(
            "several_models",
            f"The file holds {len(programs)} programs.",
            "Save the one to be served: `torch.export.save(program, 'model.pt2')`.",
        )
    program = folder.read(programs[0] if programs else _OLD_PROGRAM)
    try:
        found = _VERSION.match(str(json.loads(program).get("torch_version", "")))
    except (ValueError, AttributeError, RecursionError) as error:
        raise Rejected("load_failed", "The program in the file cannot be read.", _REMEDY) from error
    return found[0] if found else None
