"""Process two: receives snapshots and answers questions about them.

`feeds` says which collectors there are, `subscriber` receives their frames, `contact` remembers how the way to each is,
and `lookout` whether we were away. `cache` keeps each `host` with its latest snapshot and knows how old that is,
`history` what was before; `stream` makes events of what is news. `selection` judges which hosts may be shown now,
`reports` how each one is, and `responses` what may honestly be said of them; `wanted` is which GPUs, `rendered` keeps
it as bytes. `scraping` says the same in Prometheus's language, which `prometheus` writes.

`routes` is the table of all paths, from which `openapi` derives; `parameters` reads queries, with `remembered` for what
is asked again; `resources` answers, `page` with files. `access` knows who may ask, from `tokens`, and `tls` has the
certificate. `answers` is the way through all this, and an `answer` comes out, `conditional` on what the client has.

Then comes Tornado, which only carries the words: `app` is the server, `accepting` lets connections in, `exchange` is
one request, `listeners` are those of the stream, `naming` checks the host that is meant, `connections` keeps all to a
number, which `open_files` bounds, `works` does in threads what takes long, and `access_log` has the line of a request.

`check` is `--check`, and `findings` what it says; `address` is where the API listens. Processes of their own are
`health`, which asks an API whether a restart would help, and `tap`, which only shows the feed, in a `tap_table`, or
keeps it.
"""
