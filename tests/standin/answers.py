"""What the stand-in answers, read from the files that it is compiled from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SOURCE = HERE / "nvml_standin.c"

_ANSWERS = (HERE / "answers.def").read_text()
_CODE = "".join(file.read_text() for file in (SOURCE, *sorted(HERE.glob("*.h"))))
_SYMBOL = r"\bnvml(?:Init|Shutdown|System|Device|Event)\w*(?<!_t)(?=[(,)])"
_NEWER = "".join(re.findall(r"(?s)#ifndef OLD_DRIVER\n(.*?)#endif", _CODE))


class Field(NamedTuple):
    """A field value: its nvmlValueType_t, the number that it is, and the scopeId that it is asked with."""

    type: int
    name: str
    scope: int | None
    """None: whatever it is asked with is fine."""

    @property
    def usual_scope(self) -> int:
        """What to ask it with."""
        return self.scope or 0


#: nvmlValueType_t, and the scopes that a field may want.
UINT, ULL = 1, 3
_TYPES = {"UINT": UINT, "ULL": ULL}
_SCOPES = {"ANY": None, "WHOLE_GPU": 0, "ALL_LINKS": 2**32 - 1}

#: Each number's (first, step): physical GPU g answers first + g * step, in the unit that the name says.
NUMBERS = {
    name: (int(first), int(step)) for name, first, step in re.findall(r"(?m)^NUMBER\((\w+), (\d+), (\d+)\)", _ANSWERS)
}
#: Each text's format, to be filled with the physical GPU's number plus one, and the MIG instance's if it is of one.
TEXTS: dict[str, str] = dict(re.findall(r'(?m)^TEXT\((\w+), "(.*)"\)', _ANSWERS))
#: What there is of field values, by field id.
FIELDS = {
    int(number): Field(_TYPES[kind], name, _SCOPES[scope])
    for number, kind, name, scope in re.findall(r"(?m)^FIELD\((\d+), (\w+), (\w+), (\w+)\)", _ANSWERS)
}
#: What nvmlErrorString says of each code.
FAILURES: dict[int, str] = {int(code): text for code, text in re.findall(r'(?m)^FAILURE\((\d+), "(.*)"\)', _ANSWERS)}
#: The C symbols that the stand-in has and that can be told to misbehave.
CALLS = frozenset(re.findall(_SYMBOL, _CODE))
#: Those that an old driver lacks.
NEWER = frozenset(re.findall(_SYMBOL, _NEWER))
#: The records of running processes, in bytes: of the calls without a version, of _v2 (and mostly _v3), of some _v3.
STRIDES = (16, 24, 32)


def answer(name: str, gpu: int, instance: int = 0) -> int | bytes:
    """Return the number or text that physical GPU `gpu`, or its MIG instance, answers unless told otherwise.

    Raises:
        KeyError: there is no such number or text.
    """
    if name in NUMBERS:
        first, step = NUMBERS[name]
        return first + gpu * step
    text = TEXTS[name]
    return (text % (gpu + 1, instance)[: text.count("%")]).encode()
