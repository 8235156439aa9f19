"""Whatever comes from outside, in any bytes. Each way in is a door: a function of bytes that fails if anything happens
but what is documented.

`doors` lists them; those of the feed, of clients and of the operator have a room each. Three knock: `python -m
tests.fuzz`, for as long as one likes, with coverage in sight; `tests/unit/test_fuzz.py`, with values that are nearly
right; and, in the same tests, each file of `corpus/DOOR/`, among which stays what once failed.
"""
