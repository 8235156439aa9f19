"""What Prometheus is told. `families` are what it calls each reading, `gpus` and `hosts` the families of each, `dcgm`
the same in the dialect of NVIDIA's exporter; `scrapes` keeps what was written, by `api.prometheus`, for a second, and
`tally` counts what the API itself does."""
