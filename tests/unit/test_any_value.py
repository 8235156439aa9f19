"""Whatever bytes and numbers a driver answers with, the snapshot travels, arrives as it was, and can be shown."""

import random

import msgspec
import pytest

from api.routes import METRICS_PATH
from collector.nvml.source import Nvml
from common import wire
from common.gpu import READINGS, Gpu
from tests.builders import ask, make_answers, make_cache, make_snapshot, read
from tests.fakes import FakeNvml
from tests.standin import FIELDS, NUMBERS, TEXTS
from tests.standin.answers import ULL

CASES = 400
SIZES = {"pci_bus_id": 15, "pci_bus_id_v3": 31}
"""The longest text that fits where it is not the caller who says how much room there is."""
WIDE = {field.name for field in FIELDS.values() if field.type == ULL} | {
    name for name in NUMBERS if name.startswith(("memory_", "bar1_", "mig_memory_", "clock_event_"))
}
EDGES = (0, 1, 2, 100, 101, 2**15, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)


def any_number(chance: random.Random, bits: int) -> int:
    """Return an edge, or a number of any magnitude."""
    if chance.random() < 0.3:
        return chance.choice(EDGES) & ((1 << bits) - 1)
    return chance.getrandbits(chance.randint(1, bits))


def any_text(chance: random.Random, longest: int) -> bytes:
    """Return bytes that end where C's texts end."""
    return bytes(chance.randint(1, 255) for _ in range(chance.randint(0, longest)))


def confuse(fake: FakeNvml, chance: random.Random) -> None:
    """Let the driver answer anything."""
    for name in NUMBERS:
        fake.value(name, any_number(chance, 64 if name in WIDE else 32), gpu=chance.choice((0, 1, None)))
    for name in TEXTS:
        if not name.startswith("mig"):
            fake.value(name, any_text(chance, SIZES.get(name, 30)), gpu=chance.choice((0, 1, None)))
    fake.value("cuda_driver_version", chance.getrandbits(31))
    fake.mig(0, chance.choice((None, 0, 3, 7)))
    fake.stride(chance.choice((16, 24, 32)))
    for tell in (fake.processes, fake.graphics):
        tell(1, *((any_number(chance, 32), any_number(chance, 64)) for _ in range(chance.randint(0, 40))))
    percents = [tuple(any_number(chance, 32) for _ in range(5)) for _ in range(chance.randint(0, 20))]
    fake.process_utilization(1, *percents)  # type: ignore[arg-type]  # five numbers each


def assert_whole(gpus: list[Gpu]) -> None:
    """Every reading is there or has a reason; and all of it travels, arrives as it was, and can be shown."""
    for gpu in gpus:
        assert all((getattr(gpu, name) is None) == (name in gpu.unavailable) for name in READINGS)
    snapshot = make_snapshot(gpus=gpus)
    assert wire.decode(wire.encode(snapshot)) == snapshot
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=type(snapshot)) == snapshot
    answer = ask(make_answers(make_cache(snapshot)), METRICS_PATH)
    assert answer.status == 200
    assert len(read(answer)["gpus"]) == len(gpus)


@pytest.mark.parametrize("tenth", range(10))
def test_any_answers_give_a_snapshot_that_travels_and_can_be_shown(fake: FakeNvml, tenth: int) -> None:
    for seed in range(tenth * CASES // 10, (tenth + 1) * CASES // 10):
        chance = random.Random(seed)  # noqa: S311 -- to be had again, not to be secret
        confuse(fake, chance)
        nvml = Nvml(processes=True, pcie_throughput=True)
        try:
            nvml.sample()
            fake.xid(chance.randint(0, 1), any_number(chance, 64), times=2)
            confuse(fake, chance)
            assert_whole(nvml.sample())
        except Exception as error:
            raise AssertionError(f"the seed is {seed}") from error
        finally:
            nvml.close()
