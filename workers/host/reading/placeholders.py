"""What stands for the objects of a pickle that is read and not loaded: it holds nothing and does nothing.

An unpickler puts objects together by a few operations: it calls a class or function, sets an object's
state, adds items to it. A placeholder takes each of these and runs nothing. So the real unpickler can walk
the whole pickle while not one name in it is imported.
"""

from typing import Any, ClassVar, Self

from workers.host.reading.notes import Global, Notes

VERSION_KEY = "_sklearn_version"


class Placeholder:
    """An object that a pickle makes.

    Attributes:
        origin: the class or function that it would be made by.
        notes: of the reading.
    """

    __slots__ = ()
    origin: ClassVar[Global] = ("", "")
    notes: ClassVar[Notes]

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Make one of whatever arguments."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Self:
        """Be called, and give itself."""
        return self

    def __setstate__(self, state: Any) -> None:
        """A state's one telling entry is the version of scikit-learn that wrote it."""
        if type(state) is dict and VERSION_KEY in state:
            self.notes.note_sklearn(state[VERSION_KEY])

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Take an item of a list."""

    def extend(self, items: Any) -> None:
        """Take items of a list."""

    def add(self, item: Any) -> None:
        """Take an item of a set."""


class MakesClass(Placeholder):
    """A function that gives a class, of which the pickle then makes objects."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Give a class."""
        return _class(Placeholder, cls.notes)


class GetsAttribute(Placeholder):
    """`getattr`, by which pickles name methods and nested classes: told by its arguments."""

    __slots__ = ()

    def __new__(cls, *args: Any, **_: Any) -> Any:
        """Note what is got, and give a class."""
        target, name = (*args, None, None)[:2]
        known = isinstance(target, type) and issubclass(target, Placeholder) and bool(target.origin[0])
        cls.notes.note_attribute(target.origin if known else None, name)
        return _class(Placeholder, cls.notes)


class ImportsModule(Placeholder):
    """Cloudpickle's way to name a module that a function uses."""

    __slots__ = ()

    def __new__(cls, *args: Any, **_: Any) -> Any:
        """Note the module."""
        cls.notes.note_module(args[0] if args else None)
        return object.__new__(cls)


class Code(Placeholder):
    """A function's code, which tells the Python that compiled it."""

    __slots__ = ()

    def __new__(cls, *args: Any, **_: Any) -> Any:
        """Note the Python that compiled it."""
        cls.notes.note_code(args)
        return object.__new__(cls)


class GivesBuiltinType(Placeholder):
    """Cloudpickle's way to name the types of functions, methods and their code."""

    __slots__ = ()

    def __new__(cls, *args: Any, **_: Any) -> Any:
        """Give a class; that of code is told apart."""
        base = Code if args[:1] == ("CodeType",) else Placeholder
        return _class(base, cls.notes)


class Dtype(Placeholder):
    """A type of array elements, which tells how many bytes an array takes."""

    __slots__ = ("code", "state")
    code: Any
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> Self:
        """Keep the code of the type."""
        made = object.__new__(cls)
        made.code, made.state = (args[0] if args else None), None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class JoblibArray(Placeholder):
    """What joblib writes in an array's place; the array's bytes follow it in the file."""

    __slots__ = ("state",)
    state: Any

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make one without a state."""
        made = object.__new__(cls)
        made.state = None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


_CLOUDPICKLE = ("cloudpickle.cloudpickle", "joblib.externals.cloudpickle.cloudpickle", "cloudpickle")
_BUILTINS = ("builtins", "__builtin__")
_SPECIAL: dict[Global, type[Placeholder]] = {
    ("numpy", "dtype"): Dtype,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): JoblibArray,
    ("types", "CodeType"): Code,
    ("types", "new_class"): MakesClass,
    ("typing", "NewType"): MakesClass,
    ("collections", "namedtuple"): MakesClass,
    **{(module, "getattr"): GetsAttribute for module in _BUILTINS},
    **{(module, "type"): MakesClass for module in _BUILTINS},
    **{(module, "subimport"): ImportsModule for module in _CLOUDPICKLE},
    **{(module, "_builtin_type"): GivesBuiltinType for module in _CLOUDPICKLE},
    **{
        (module, name): MakesClass
        for module in _CLOUDPICKLE
        for name in ("_make_skeleton_class", "_make_skeleton_enum", "_lookup_class_or_track", "_make_typevar")
    },
}


def placeholder_of(origin: Global, notes: Notes) -> type[Placeholder]:
    """The class that stands for a name which the pickle imports."""
    return _class(_SPECIAL.get(origin, Placeholder), notes, origin)


def _class(base: type[Placeholder], notes: Notes, origin: Global = ("", "")) -> type[Placeholder]:
    notes.count_class()
    return type("Imported", (base,), {"__slots__": (), "origin": origin, "notes": notes})
