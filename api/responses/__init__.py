"""The bodies: structs, and what is put into them. Pure: what was selected or reported in, structs out.

`errors` is what all error answers look like, `judgement` how a choice of hosts is as a whole, `moments` how a time is
written; then a room for each kind of body. Zeros and the placeholder GPU stand in `metrics` only.
"""
