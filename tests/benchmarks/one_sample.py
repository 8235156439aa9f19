"""One sample of all GPUs by one tool, in whichever environment has it: `PYTHON one_sample.py TOOL SAMPLES [LIBRARY]`.

Says `ready`; then, for each line on standard input, takes so many samples and prints the CPU time of one, in
microseconds. It knows nothing of this project but what it measures, for it runs where the project is not installed.
"""

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

_Job = Callable[[], object]


def _ours(*library: str) -> _Job:
    job: _Job = importlib.import_module("collector.nvml.source").Nvml(*library).sample
    return job


def _gpustat() -> _Job:
    job: _Job = importlib.import_module("gpustat").new_query
    return job


def _nvitop() -> _Job:
    devices = importlib.import_module("nvitop").Device.all()
    return lambda: [device.as_snapshot() for device in devices]


def _nvitop_exporter() -> _Job:
    devices: list[Any] = importlib.import_module("nvitop").Device.all()
    exporter = importlib.import_module("nvitop_exporter.exporter").PrometheusExporter(devices, hostname="benchmark")
    return lambda: (exporter.update_host(), [exporter.update_device(device) for device in devices])


#: What takes a sample, by the name of the tool.
JOBS: dict[str, Callable[..., _Job]] = {
    "ours": _ours,
    "gpustat": _gpustat,
    "nvitop": _nvitop,
    "nvitop-exporter": _nvitop_exporter,
}


def main(tool: str, samples: int, *library: str) -> None:
    """Measure, until standard input ends."""
    job = JOBS[tool](*library)
    job()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.process_time()
        for _ in range(samples):
            job()
        print((time.process_time() - began) / samples * 1e6, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
