"""Where NVML's library is: where it may be when the binding does not find it, and where it was loaded from."""

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_LINUX_DIRECTORIES = (
    "/usr/local/nvidia/lib64",  # Kubernetes hosts that mount the driver there
    "/run/opengl-driver/lib",  # NixOS
    "/usr/lib/wsl/lib",  # Windows Subsystem for Linux
    "/usr/lib64/nvidia",
)


def others(platform: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where the library may be when the binding does not find it, by `sys.platform` and the environment."""
    if platform != "win32":
        return tuple(f"{directory}/libnvidia-ml.so.1" for directory in _LINUX_DIRECTORIES)
    system = environ.get("SystemRoot", r"C:\Windows")
    programs = environ.get("ProgramFiles", r"C:\Program Files")
    # The first is where drivers of today put it, the second where those did that the first binding was made for.
    return rf"{system}\System32\nvml.dll", rf"{programs}\NVIDIA Corporation\NVSMI\nvml.dll"


OTHERS = tuple(map(Path, others(sys.platform, os.environ)))


class _Place(ctypes.Structure):
    """`Dl_info` of dladdr(3)."""

    _fields_ = (
        ("path", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def path_of(library: ctypes.CDLL) -> str:
    """Return the file that a library was loaded from; where the platform does not tell, the name it was loaded by."""
    place = _Place()
    entry = getattr(library, "nvmlInit_v2", None)  # none in what is not NVML
    if sys.platform != "win32" and entry and ctypes.CDLL(None).dladdr(entry, ctypes.byref(place)) and place.path:
        return os.path.realpath(os.fsdecode(place.path))
    return str(library._name)  # noqa: SLF001 -- ctypes has no other name for it
