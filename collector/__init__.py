"""Process one: samples the GPUs and publishes what it found.

`nvml` reads one sample from the driver, on a thread of its own; `sampler` numbers, times and seals it as a snapshot,
or one that says why there is none; `publisher` sends it to whoever listens, and `gate` says who may; `loop` waits for
the next tick. `check` looks whether all is well that these need. `keys` and `replay` are processes of their own: one
makes keys, the other publishes what a tap has kept.
"""
