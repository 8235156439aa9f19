"""What was news before. `store` keeps it, in `blocks` of `columns`, whose cells stand in `runs`; `series` is what is
told of it, at the `moments` that were asked for."""
