"""Fuzzes one door for so many seconds, by atheris: `python -m tests.fuzz.guided DOOR SECONDS SEED`. It ends the process
at the first failure, which is why `python -m tests.fuzz` starts one for each door."""

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["api", "collector", "common"]):
    from tests.fuzz.doors import CORPUS, DOORS

LONGEST_BYTES = 4096
HANG_SECONDS = 10


def main(door: str, seconds: str, seed: str) -> None:
    """Fuzz, and end the process."""
    logging.disable()
    kept = CORPUS / door
    with tempfile.TemporaryDirectory() as directory:
        words = Path(directory) / "words"
        words.write_text("".join(_quoted(word) for word in DOORS[door].words))
        found = Path(directory) / "found"
        found.mkdir()
        flags: dict[str, object] = {
            "max_total_time": seconds,
            "seed": seed,
            "max_len": LONGEST_BYTES,
            "timeout": HANG_SECONDS,
            "artifact_prefix": f"{kept}/",
            "print_final_stats": 1,
        }
        if DOORS[door].words:
            flags["dict"] = words
        atheris.Setup(
            ["fuzz", *(f"-{name}={value}" for name, value in flags.items()), str(found), str(kept)], DOORS[door].knock
        )
        atheris.Fuzz()


def _quoted(word: bytes) -> str:
    """Return a line of libFuzzer's dictionaries."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


if __name__ == "__main__":
    main(*sys.argv[1:])
