"""What the service costs beside the least it could cost, and beside others, measured in one run:
`python -m tests.benchmarks` (`--help` says what it can be told).

`sample` sets a sample against its bare driver calls, and `others` against other monitors; `rest` the API against a
bare Tornado handler and a bare asyncio server, `scraped` its metrics against another exporter's; `feed` the way from a
sample to a body against a bare ZeroMQ hop. `listen` tells what listeners cost, `memory` and `idle` what the two
processes hold and use, `fleet` what many hosts and many subscribers cost, `wire` what a message weighs, `soak` whether
anything grows. `rounds` takes turns between ours and what it is set beside, so that the machine's noise hits both;
`table` says what came of it beside what the project promises. A benchmark tells; it never fails.
"""
