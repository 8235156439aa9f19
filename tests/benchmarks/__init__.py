"""What the service costs beside the least it could cost, measured in one run: `python -m tests.benchmarks [--json]`.

`sample` sets a sample against its bare driver calls, `rest` the API against a bare Tornado handler, `feed` the way
from a sample to a rendered body against a bare ZeroMQ hop; `listen` tells what listeners cost, `memory` what the two
processes hold, `wire` what a message weighs. `rounds` takes turns between ours and the floor, so that the machine's
noise hits both; `table` says what came of it beside what the project promises. A benchmark tells; it never fails.
"""
