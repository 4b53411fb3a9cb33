"""`python -m workers.doctor`: says how well this machine can lock model hosts in, having tried."""

import sys

from workers.hosting.confinement import Confinement
from workers.hosting.template import HostTemplate

Line = tuple[str, str, str]  # what, how it stands, and what would make it better

_USER = "Run workers as root, or allow unprivileged user namespaces."
_KERNEL = "Linux 5.13 or newer with `landlock` in its `lsm=` list; a container runtime of 2022 or newer."
_MACHINE = "Linux on x86-64 or ARM64; gVisor and some containers forbid it."
_NAMESPACE = "Run workers as root with CAP_SYS_ADMIN, or allow unprivileged user namespaces."
_LIBRARIES = "Install Python where every user may read it, not under /root."
_TIERS = {
    "full": "Everything holds.",
    "core": "It holds; what a layer above lacks, another does.",
    "no-files": "It holds, and models can open no file at all: those that read files of their library fail.",
    "none": "It does not hold.",
}


def main() -> int:
    """Print the table; 1 where SANDBOX=enforce would refuse models that run code."""
    template = HostTemplate(sandbox="enforce")
    template.start()
    confinement = template.confinement
    template.close()
    assert confinement is not None  # noqa: S101  it was started
    _print(confinement)
    return 0 if confinement.holds else 1


def _print(confinement: Confinement) -> None:
    for what, stands, better in _lines(confinement):
        _write(f"{what:<22}{stands:<26}{better}".rstrip())
    _write("")
    for words in confinement.escapes:
        _write(f"A model could {words}.")
    _write(f"Tier: {confinement.tier}. {_TIERS[confinement.tier]}")
    if not confinement.holds:
        _write("SANDBOX=enforce refuses models that run code here; formats without code are opened.")


def _lines(confinement: Confinement) -> list[Line]:
    layers = confinement.layers
    return [
        ("System calls", *_either(layers.filter, "filtered", "not filtered", _MACHINE)),
        (
            "Files",
            *_either(layers.landlock > 0, f"Landlock {layers.landlock}", "none can be opened", _KERNEL),
        ),
        ("User", layers.identity, _USER if layers.identity == "shared user" else ""),
        ("Network", *_either(layers.namespaces, "none, by the kernel", "none, by the filter", _NAMESPACE)),
        ("Libraries", *_either(not layers.search, "readable by all", "readable by root", _LIBRARIES)),
    ]


def _either(good: bool, yes: str, no: str, better: str) -> tuple[str, str]:
    return (yes, "") if good else (no, better)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
