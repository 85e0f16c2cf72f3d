"""Model hubs: fail fast where they cannot be reached, and say so in one sentence."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants

from zsad.errors import ZsadError

PROBE_SECONDS = 3.0
"""How long to wait for the hub before only the local cache is asked."""

_NETWORK_WORDS = ("connect", "network", "resolve", "timed out", "timeout", "offline", "unreachable", "proxy",
                  "ssl", "urlopen", "localentrynotfound", "max retries", "cached files")  # fmt: skip


@contextmanager
def hub_errors(name: str, mend: str) -> Iterator[None]:
    """Turn a failed download into one sentence that names the model and the way around the hub.

    Args:
        name: The model as the user wrote it.
        mend: What to do with a file that was downloaded elsewhere.

    Raises:
        ZsadError: The hub cannot be reached, or answers that there is no such model.
    """
    try:
        with _offline_if_unreachable(), _quiet():
            yield
    except ZsadError:
        raise
    except Exception as error:
        if not _is_network(error):
            raise ZsadError(f"could not load '{name}': {str(error).strip().splitlines()[0][:300]}") from error
        raise ZsadError(
            f"'{name}' could not be downloaded because the model hub cannot be reached; "
            f"download it on a connected machine and {mend}"
        ) from error


@cache
def hub_reachable() -> bool:
    """Whether the hub's host answers; behind a proxy this cannot be told and is taken for granted."""
    endpoint = urlsplit(constants.ENDPOINT)
    if set(getproxies()) - {"no"}:  # that entry names hosts that need none
        return True
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    try:
        socket.create_connection((endpoint.hostname or "", port), PROBE_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def _offline_if_unreachable() -> Iterator[None]:
    """Ask only the local cache where the hub does not answer: its client would retry for a minute."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not hub_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the libraries' own warnings: what matters of them is said in the one sentence."""
    loggers = [logging.getLogger(name) for name in (None, "huggingface_hub", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _is_network(error: BaseException) -> bool:
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, (ConnectionError, TimeoutError)):
            return True
        text = f"{type(chain).__name__} {chain}".lower()
        if any(word in text for word in _NETWORK_WORDS):
            return True
        chain = chain.__cause__ or chain.__context__
    return False
