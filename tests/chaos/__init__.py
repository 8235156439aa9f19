"""Breaks what can break around the two real processes, one thing after the other, while clients watch what is served.

- `rig` is the service under the real supervisord, on the stand-in for the NVIDIA library, and what surrounds it: its
  log disk, its wall clock, its keys, the list of its feeds.
- `faults` is what can be broken, as one table: how, how it is undone, what clients may see of it and for how long.
- `watcher` are the clients. `judge` says of everything that they were told whether it may have been told; the readings
  of the stand-in tell when they were made, so that no word of the service on its own freshness is needed.
- `trial` breaks one thing, `report` is the table of what came of it.
"""
