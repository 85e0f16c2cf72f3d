"""One sentence for every way in which a model hub can be out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zsad.errors import ZsadError

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
