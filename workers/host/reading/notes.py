"""What is noted while a pickle is read."""

from typing import Any

from workers.host.error_text import shown
from workers.host.reading.bytecode import closer, python_of
from workers.host.reading.standing import Standing, standing_of, standing_of_attribute
from workers.host.rejection import Rejected

Global = tuple[str, str]  # module, name

_MOST_CLASSES = 20_000  # a model of hundreds of parts names some hundred
_LONGEST_NAME = 500
_LONGEST_VERSION = 50
_GETATTR = (("builtins", "getattr"), ("__builtin__", "getattr"))


class Notes:
    """Names that a pickle imports, and the versions that it tells.

    Attributes:
        names: as the unpickler will ask for them.
        attributes: that are got from these names.
        modules: that functions in it use.
        sklearn_versions: that wrote parts of it.
        python_version: that compiled functions in it.
    """

    def __init__(self) -> None:
        self.names: set[Global] = set()
        self.attributes: dict[Global, Standing] = {}
        self.modules: set[str] = set()
        self.sklearn_versions: set[str] = set()
        self.python_version: str | None = None
        self._classes = 0
        self._gets_from_anything = False

    def note_name(self, module: Any, name: Any) -> None:
        """Note a name that is imported.

        Raises:
            Rejected: it is none.
        """
        if type(module) is not str or type(name) is not str or len(module) + len(name) > _LONGEST_NAME:
            raise unclear("imports a name that it computes")
        self.names.add((module, name))

    def note_attribute(self, target: Global | None, name: Any) -> None:
        """Note an attribute that is got from an imported name; None: from something else."""
        if target is None or type(name) is not str or len(name) > _LONGEST_NAME:
            self._gets_from_anything = True
        else:
            self.attributes[target[0], f"{target[1]}.{name}"] = standing_of_attribute(target, name)

    def standings(self) -> dict[Global, Standing]:
        """Of every name and attribute. `getattr` is as dangerous as what it is seen to get."""
        standings = {name: standing_of(*name) for name in self.names} | self.attributes
        if self.attributes and not self._gets_from_anything:
            standings.update({name: "unknown" for name in _GETATTR if name in self.names})
        return standings

    def note_module(self, module: Any) -> None:
        """Note a module that a function uses; its code may import any other."""
        if type(module) is str and len(module) <= _LONGEST_NAME:
            self.modules.add(module)

    def note_sklearn(self, version: Any) -> None:
        """Note the version of scikit-learn that an estimator says it was saved by."""
        if type(version) is str and len(version) <= _LONGEST_VERSION:
            self.sklearn_versions.add(shown(version))

    def note_code(self, arguments: tuple[Any, ...]) -> None:
        """Note which Python compiled a function."""
        self.python_version = closer(self.python_version, python_of(arguments))

    def count_class(self) -> None:
        """Count a class made for this reading.

        Raises:
            Rejected: there are more than any model has.
        """
        self._classes += 1
        if self._classes > _MOST_CLASSES:
            raise unclear(f"imports more than {_MOST_CLASSES:,} names")


def unclear(what: str) -> Rejected:
    """It cannot be said what the pickle would do."""
    return Rejected("pickle_unclear", f"The pickle cannot be read without running it: it {what}.")
