"""How a setting is spoken of: its names, its range, default and meaning in words, and why a value is refused.

Everything is told from the annotated fields of a struct; which settings there are is `common.settings`' to say.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

import msgspec
from msgspec import Struct
from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, Metadata, type_info

from common.version import VERSION

PREFIX = "GPU_METRICS_"


class SettingsError(Exception):
    """The operator's: one line that names the setting and says what would be right. What stands in it that cannot be
    printed, such as the end of a line in an argument, is escaped."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(each if each.isprintable() else ascii(each)[1:-1] for each in message))


def process(kind: type[Struct]) -> str:
    """Return the name of the process whose settings these are."""
    return kind.__name__.removesuffix("Settings").lower()


def names(kind: type[Struct]) -> tuple[str, ...]:
    """Return the settings of one process, in order."""
    return kind.__struct_fields__


def flag(name: str) -> str:
    """Return the flag that a setting may be given by."""
    return "--" + name.replace("_", "-")


def expectation(kind: type[Struct], name: str) -> str:
    """Return what values a setting takes, in words, from its type."""
    expected = _described(kind, name).type
    if isinstance(expected, LiteralType):
        return "one of " + ", ".join(str(value) for value in expected.values)
    if isinstance(expected, BoolType):
        return "true or false"
    if isinstance(expected, IntType | FloatType):
        whole = "whole " if isinstance(expected, IntType) else ""
        return f"a {whole}number from {expected.ge:g} to {expected.le:g}"
    return "text"


def meaning(kind: type[Struct], name: str) -> str:
    """Return a setting's description."""
    return str((_described(kind, name).extra_json_schema or {})["description"])


def default(kind: type[Struct], name: str) -> str:
    """Return a setting's default as one would write it; `empty` for the empty text."""
    if instead := _described(kind, name).extra:
        return str(instead["default"])
    value = _fields(kind)[name].default
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if _is_number(value) else value or "empty"


def refused(name: str, text: object, expected: str) -> SettingsError:
    """Return the error that says which setting's value is wrong, and what it is not: what would be right."""
    return SettingsError(f"{PREFIX}{name.upper()} ({flag(name)}): {text!r} is not {expected}")


class Parser(argparse.ArgumentParser):
    """Reads flags; one that is wrong is a SettingsError."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see --help)")


def parser(kind: type[Struct], others: Sequence[argparse.ArgumentParser] = ()) -> Parser:
    """Return what reads the flags of one process, its settings and `others`, with its `--help`."""
    flags = Parser(
        prog=f"python -m {process(kind)}",
        parents=others,
        allow_abbrev=False,
        description=f"A flag with a VALUE may also be given as an environment variable, {PREFIX}<NAME>; the flag wins.",
    )
    flags.add_argument("--version", action="version", version=VERSION, help="print the version of this program and end")
    for name in names(kind):
        text = f"{meaning(kind, name)} ({expectation(kind, name)}; default: {default(kind, name)})"
        flags.add_argument(flag(name), metavar="VALUE", help=text)
    return flags


@cache
def _fields(kind: type[Struct]) -> dict[str, msgspec.inspect.Field]:
    described = type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)  # noqa: S101 -- kind is a Struct: tells mypy so
    return {found.name: found for found in described.fields}


def _described(kind: type[Struct], name: str) -> Metadata:
    described = _fields(kind)[name].type
    assert isinstance(described, Metadata)  # noqa: S101 -- every setting says what it means: tells mypy so
    return described


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
