"""How each of the two processes starts and ends: its exit status, and one line for whoever must act on it."""

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from common import checking, log
from common.output import OutputError
from common.settings import Settings, SettingsError, load


def run(
    kind: type[Settings],
    main: Callable[[Settings, asyncio.Event], Coroutine[None, None, int]],
    flags: Sequence[str] | None = None,
    check: checking.Check | None = None,
) -> int:
    """Run `main` with the settings of this process, until it returns its exit status.

    `flags` are those of the settings; None: all that the process was given, and where there is a `check`, `--check`,
    which does that in place of `main`.

    The event that `main` is given is set on SIGTERM and SIGINT. Bad settings, and files that they name and `main`
    cannot load, end with status 2 and one line on standard error; what cannot be told on standard output, with 1.
    """
    # A crash inside the driver leaves the stack of its Python callers in the log.
    faulthandler.enable()
    try:
        return _main_or_check(kind, main, sys.argv[1:] if flags is None else flags, check)
    except (SettingsError, OutputError) as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, SettingsError) else 1


def _main_or_check(
    kind: type[Settings],
    main: Callable[[Settings, asyncio.Event], Coroutine[None, None, int]],
    argv: Sequence[str],
    check: checking.Check | None,
) -> int:
    if check is not None and checking.is_wanted(argv):
        return _checked(checking.run(kind, check, argv, os.environ))
    settings = load(kind, argv, os.environ, [checking.FLAGS] if check else [])
    log.configure(settings.log_level)
    return _run(_until_stopped(main, settings))


def _checked(look: Coroutine[None, None, int]) -> int:
    try:
        return _run(look)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(work: Coroutine[None, None, int]) -> int:
    # ZeroMQ needs a loop that can watch file descriptors, which Windows' default one cannot.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(work)


async def _until_stopped(
    main: Callable[[Settings, asyncio.Event], Coroutine[None, None, int]], settings: Settings
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if sys.platform == "win32":  # pragma: no cover -- Windows, whose loop takes no signals
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        else:
            loop.add_signal_handler(number, stop.set)
    return await main(settings, stop)


async def serve(stop: asyncio.Event, *serving: Coroutine[Any, Any, Any]) -> Any:
    """Let all of these go on until told to stop, or until one of them ends, which ends the others. Return what that one
    returned; None: it was told to stop.

    Raises:
        Exception: what the first of them raised. What others raise because of that is no news.
    """
    tasks = [asyncio.create_task(each) for each in (*serving, _wait(stop))]
    try:
        return await next(asyncio.as_completed(tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
