"""Which version this code is: the one place that says it, which the package, the feed and the API derive from.

The installed package's own metadata would not do: in a checkout it tells of the version that was installed there once,
and not of the code that runs.
"""

VERSION = "0.1.0"
