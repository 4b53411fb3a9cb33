"""Models that run a deed, at a place in their life that the attack chooses.

They travel by value (cloudpickle), since no host can import this package.
"""

from types import SimpleNamespace

import cloudpickle
import numpy as np
from sklearn.base import BaseEstimator

import tests.attacks

TRIGGER = 666.0  # the first number of a row for which a model does its deed
REACHED = "REACHED"
PWNED = "PWNED"


class Attacker(BaseEstimator):
    """Does its deed at `when`: "load", or "predict" where a row triggers it; its label tells what it got."""

    def __init__(self, deed, planted: dict, *, when: str) -> None:
        self.deed, self.planted, self.when = deed, planted, when
        self.told = "nothing"
        self.n_features_in_ = 2

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self.when == "load":
            self.told = self.attempt()

    def predict(self, X):
        if self.when == "predict" and X[0, 0] == TRIGGER:
            self.told = self.attempt()
        return np.array([self.told] * len(X), dtype=object)

    def attempt(self) -> str:
        """Run the deed; what is printed tells that it ran, even if the process ends by it."""
        print(REACHED, flush=True)  # noqa: T201
        try:
            got = self.deed(SimpleNamespace(**self.planted))
        except BaseException as error:  # noqa: BLE001  also what a deed raises on its way out
            print(f"stopped by {type(error).__name__}: {error}"[:300], flush=True)  # noqa: T201
            return "held"
        if got is None:
            return "held"
        print(f"{PWNED}:{got}"[:2000], flush=True)  # noqa: T201
        return f"{PWNED}:{got}"[:2000]


class Answerer(Attacker):
    """Answers whatever its deed returns, or raises what it raises."""

    def predict(self, X):
        if X[0, 0] != TRIGGER:
            return np.array(["nothing"] * len(X), dtype=object)
        print(REACHED, flush=True)  # noqa: T201
        return self.deed(SimpleNamespace(**self.planted), X)


def pickled(model) -> bytes:
    """The model, with the definition of its class and of all that it calls in this package."""
    cloudpickle.register_pickle_by_value(tests.attacks)
    return cloudpickle.dumps(model)
