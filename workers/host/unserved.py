"""What to do with a file that is no model, or is one of a kind that is not served."""

from workers.host.rejection import SAVE_AGAIN, Rejected

_FROM_ITS_LIBRARY = "Save it from the library that trained it, in one of its own formats or as ONNX."
_RUN_IT = (
    "Run it, and upload the model that it trains: `joblib.dump(model, 'model.joblib')`. To serve code of "
    "your own, put a class `Model` with a `predict` in `model.py`, and that in a zip archive."
)
_THE_FILE_INSIDE = (
    "Upload the model's own file. A zip is taken of a Python class (`model.py`), of an MLflow folder or of a "
    "TensorFlow SavedModel: at the root of the archive, or one folder down."
)
_THE_PROGRAM = "It holds weights, and no program: save that with `torch.export.save`, or as ONNX."
_UNPACK = "Unpack it, and upload the model that is in it."
# Parts of what kinds.py says, the most telling first.
_REMEDIES = (
    ("Git LFS", "Fetch the file itself (`git lfs pull`), and upload that."),
    ("tar archive", _UNPACK),
    ("7z archive", _UNPACK),
    ("RAR archive", _UNPACK),
    ("zstandard", _UNPACK),
    ("lz4", _UNPACK),
    ("zip archive", _THE_FILE_INSIDE),
    ("safetensors", _THE_PROGRAM),
    ("notebook", _RUN_IT),
    ("Python code", _RUN_IT),
    ("R object", _FROM_ITS_LIBRARY),
    ("R workspace", _FROM_ITS_LIBRARY),
    (" model", _FROM_ITS_LIBRARY),
)


def unserved(kind: str) -> Rejected:
    """The refusal of a file.

    Args:
        kind: what it is, as kinds.py says it.
    """
    what = "but none that can be opened here" if " model" in kind else "not a model"
    remedy = next((remedy for part, remedy in _REMEDIES if part in kind), SAVE_AGAIN)
    return Rejected("not_a_model", f"The file is {kind}, {what}.", remedy)
