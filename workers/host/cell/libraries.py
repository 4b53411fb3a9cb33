"""The files that libraries read after the template has imported them."""

import sysconfig

_OF_PYTHON = ("stdlib", "platstdlib", "purelib", "platlib")
_OF_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
    # What thread pools look at to learn of the processor.
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)


def readable_paths() -> list[str]:
    """Folders and files of this environment and of the system; nothing else that `sys.path` may name."""
    own = [path for name in _OF_PYTHON if (path := sysconfig.get_path(name))]
    shared = sysconfig.get_config_var("LIBDIR")  # libpython and its like
    return [*own, *([shared] if shared else []), *_OF_SYSTEM]
