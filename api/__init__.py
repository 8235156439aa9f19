"""Process two: receives snapshots and answers questions about them.

`subscriber` receives frames; `cache` keeps each host's latest snapshot and knows how old it is; `selection` judges
which hosts may be shown now, and `responses` what may honestly be said of them; `rendered` keeps that as bytes;
`answers` finds what was asked, with `remembered` for what is asked again; `app` only carries the words, and
`connections` keeps them to a number. `seldom` is how what happens often is logged.
"""
