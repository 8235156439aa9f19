"""Tells whether this machine's service is beyond help: `python -m api.health`, with the settings of the API.

It is for those that restart what is ill, such as Docker's health check. A driver that is away or stuck is no reason:
the collector says so itself, and a restart mends it no sooner.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from api.address import HEALTHY, ask
from api.responses.errors import ErrorBody
from common.settings import ApiSettings, SettingsError, load

ANSWER_SECONDS = 3.0
"""How long the API may take for one of the two answers."""

_OF_THE_DRIVER = ("placeholder", "stalled")


def main(argv: Sequence[str]) -> int:
    """Say in one line how the service is: 0, well, or as well as its driver lets it be; 1, beyond help."""
    try:
        trouble = asyncio.run(_trouble(load(ApiSettings, argv, os.environ)))
    except SettingsError as error:
        trouble = str(error)
    sys.stdout.write(f"{trouble or 'ok'}\n")
    return 1 if trouble else 0


async def _trouble(settings: ApiSettings) -> str:
    """Return what is wrong at the API's address; empty: nothing that a restart would mend."""
    try:
        return await beyond_help(settings)
    except TimeoutError:
        said = f"no answer within {ANSWER_SECONDS:g} s"
    except ConnectionRefusedError:
        said = "nobody listens there"
    except (OSError, ValueError) as error:
        said = str(error)
    return f"{settings.api_address} port {settings.api_port}: {said}"


async def beyond_help(settings: ApiSettings) -> str:
    """Return why the service needs a restart; empty: it does not.

    Raises:
        OSError: the API cannot be asked, or does not answer in time (TimeoutError).
        ValueError: what answers is no API.
    """
    alive = await ask(settings, "/healthz", ANSWER_SECONDS)
    if alive != HEALTHY:
        return f"/healthz: status {alive.status}, and not what an API says that is well"
    ready = await ask(settings, "/readyz", ANSWER_SECONDS)
    if ready.status == HTTPStatus.OK:
        return ""
    error = msgspec.json.decode(ready.body, type=ErrorBody).error
    return "" if error.code in _OF_THE_DRIVER else f"/readyz: {error.code}: {error.message}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
