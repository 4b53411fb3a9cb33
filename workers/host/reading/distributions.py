"""Which distribution brings a module that a model imports.

A table, and never a rule: to install a package because a file names a module of that name would let the
file's author choose what is installed.
"""

from collections.abc import Iterable

# By top-level module; the names are PyPI's.
DISTRIBUTIONS = {
    "autosklearn": "auto-sklearn",
    "catboost": "catboost",
    "category_encoders": "category-encoders",
    "cloudpickle": "cloudpickle",
    "dask_ml": "dask-ml",
    "dill": "dill",
    "feature_engine": "feature-engine",
    "flaml": "flaml",
    "gplearn": "gplearn",
    "hdbscan": "hdbscan",
    "imblearn": "imbalanced-learn",
    "interpret": "interpret-core",
    "joblib": "joblib",
    "keras": "keras",
    "lifelines": "lifelines",
    "lightgbm": "lightgbm",
    "lightning": "lightning",
    "lime": "lime",
    "mapie": "mapie",
    "mlxtend": "mlxtend",
    "ngboost": "ngboost",
    "nltk": "nltk",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "optbinning": "optbinning",
    "pandas": "pandas",
    "pmdarima": "pmdarima",
    "polars": "polars",
    "prophet": "prophet",
    "pyarrow": "pyarrow",
    "pygam": "pygam",
    "pynndescent": "pynndescent",
    "pyod": "pyod",
    "pytorch_tabnet": "pytorch-tabnet",
    "scikeras": "scikeras",
    "scipy": "scipy",
    "shap": "shap",
    "skl2onnx": "skl2onnx",
    "sklearn": "scikit-learn",
    "sklearn_crfsuite": "sklearn-crfsuite",
    "sklearn_pandas": "sklearn-pandas",
    "skopt": "scikit-optimize",
    "skorch": "skorch",
    "sksurv": "scikit-survival",
    "sktime": "sktime",
    "spacy": "spacy",
    "statsmodels": "statsmodels",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "torchvision": "torchvision",
    "tpot": "tpot",
    "transformers": "transformers",
    "treelite": "treelite",
    "tslearn": "tslearn",
    "umap": "umap-learn",
    "xgboost": "xgboost",
}

EVERYWHERE = frozenset({"joblib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy"})


def distributions_of(modules: Iterable[str]) -> set[str]:
    """The distributions that these modules come from, as far as they are known here."""
    roots = {module.split(".")[0] for module in modules}
    return {DISTRIBUTIONS[root] for root in roots if root in DISTRIBUTIONS}
