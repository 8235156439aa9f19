"""The table of what can be broken."""

from tests.chaos.fault import Fault
from tests.chaos.faults import clients, driver, feed, gpus, machine, processes

FAULTS: dict[str, Fault] = {
    fault.name: fault for room in (driver, gpus, processes, machine, clients, feed) for fault in room.FAULTS
}
"""By name."""
