"""Which of the packages that call themselves `pynvml` is in use."""

from collections.abc import Mapping
from importlib.metadata import packages_distributions, version

from common.finding import Finding, ok, warning

MODULE = "pynvml"


def packages() -> list[str]:
    """Return the packages that have installed the module here."""
    return providers(packages_distributions())


def found() -> Finding:
    """Return which binding is in use; a warning where several packages have been installed over each other."""
    names = packages()
    told = ", ".join(f"{name} {version(name)}" for name in names) or "a package that does not give its name"
    if len(names) > 1:
        several = f"{MODULE} is installed by several packages over each other: {told}"
        return warning("binding", several, "uninstall all, then install one")
    return ok("binding", f"NVML's binding is {told}")


def providers(distributions: Mapping[str, list[str]]) -> list[str]:
    """Return the packages that install the module, each once."""
    return sorted(set(distributions.get(MODULE, [])))
