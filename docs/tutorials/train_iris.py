"""Trains a classifier on the iris flowers and saves it as model.pkl in the current folder."""

import pickle
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

iris = load_iris(as_frame=True)
flowers = iris.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
species = iris.target_names[iris.target]

model = LogisticRegression(max_iter=1000).fit(flowers, species)

Path("model.pkl").write_bytes(pickle.dumps(model))
print("model.pkl: a LogisticRegression that takes", ", ".join(flowers.columns))
