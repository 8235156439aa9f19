"""Which of the packages that call themselves `pynvml` is in use."""

import logging
from collections.abc import Mapping
from importlib.metadata import packages_distributions, version

_log = logging.getLogger(__name__)

MODULE = "pynvml"


def report() -> None:
    """Log which binding is in use; warn where several packages have been installed over each other."""
    names = providers(packages_distributions())
    told = ", ".join(f"{name} {version(name)}" for name in names) or "a package that does not give its name"
    if len(names) > 1:
        _log.warning(
            "%s is installed by several packages over each other: %s; uninstall all, then install one", MODULE, told
        )
    else:
        _log.info("NVML's binding is %s", told)


def providers(distributions: Mapping[str, list[str]]) -> list[str]:
    """Return the packages that install the module, each once."""
    return sorted(set(distributions.get(MODULE, [])))
