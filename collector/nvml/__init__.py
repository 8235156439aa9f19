"""The driver's side: what NVML answers, as plain values, or a `SourceError`.

`library` makes the calls, and `places` is where it may lie; `codes` knows what its errors mean, `table` which call
gives which readings, `plan` what is due, `gpus` who is there and `device` what each one says; `source` is what the rest
of the collector sees. No NVMLError, no bytes and no handle ever leaves this package. Only the sampling thread may call
in: NVML can hang, and of `Nvml` only `in_flight`, `versions`, `library_path` and `calls` may be read by another thread
meanwhile.
"""
