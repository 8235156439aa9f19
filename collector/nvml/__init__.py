"""The driver's side: what NVML answers, as plain values, or a `SourceError`.

`library` makes the calls, `codes` knows what its errors mean, `table` which call gives which readings, `gpus` who is
there and what each one says; `source` is what the rest of the collector sees. No NVMLError, no bytes and no handle
ever leaves this package. Only the sampling thread may call in: NVML can hang, and `Source.in_flight` is all that
another thread may read meanwhile.
"""
