"""A repository on the Hugging Face hub. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from zsad.errors import InputError, ZsadError
from zsad.plugin.imports import cause
from zsad.weights.repositories.folder import CARD, FILE, README

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB = "hf://"


@dataclass(frozen=True)
class HubRepository:
    """A repository on the Hugging Face hub.

    Attributes:
        name: ``OWNER/NAME``.
        revision: Branch, tag or commit; None is the main branch.
    """

    name: str
    revision: str | None = None

    @property
    def address(self) -> str:
        """What ``--weights`` takes."""
        return f"{HUB}{self.name}@{quote(self.revision, safe='')}" if self.revision else f"{HUB}{self.name}"

    def fetch(self) -> Path:
        """Return a folder of the hub's cache with what the repository has of the layout, of one commit.

        Raises:
            InputError: No such repository or revision, or one without weights.
            ZsadError: The hub cannot be reached, or refuses.
        """
        from huggingface_hub.errors import EntryNotFoundError

        folder = self.download(FILE).parent
        with self._reading():
            for name in (README, CARD):
                with suppress(EntryNotFoundError):
                    _api().hf_hub_download(self.name, name, revision=folder.name)
        return folder

    def download(self, file: str) -> Path:
        """Return a file in the hub's cache, after a download where it is not there yet.

        Raises:
            InputError: No such repository, revision or file.
            ZsadError: The hub cannot be reached, or refuses.
        """
        with self._reading(file):
            return Path(_api().hf_hub_download(self.name, file, revision=self.revision))

    def publish(self, contents: Mapping[str, bytes], *, private: bool, message: str | None) -> str:
        """Commit the files, to a new repository or branch where there is none; return the commit's page.

        Raises:
            InputError: No token, or the repository was to be private and is public.
            ZsadError: The hub cannot be reached, or refuses.
        """
        from huggingface_hub import CommitOperationAdd

        self._check_can_publish()
        with self._answers("write to"):
            api = _api()
            api.create_repo(self.name, private=private or None, exist_ok=True)
            if private and not api.repo_info(self.name).private:
                raise InputError(f"--private: '{self.name}' is public already; name another repository")
            if self.revision:
                api.create_branch(self.name, branch=self.revision, exist_ok=True)
            commit = api.create_commit(
                self.name,
                [CommitOperationAdd(name, content) for name, content in contents.items()],
                commit_message=message or f"Add {FILE}",
                revision=self.revision,
            )
        return str(commit.commit_url)

    def _check_can_publish(self) -> None:
        """Refuse at once what the hub's client would retry for long, or try without a chance."""
        from huggingface_hub import constants, get_token

        from zsad.backbones.hub import hub_reachable

        if constants.HF_HUB_OFFLINE:
            raise ZsadError(f"cannot push to '{self.name}' because HF_HUB_OFFLINE is set; unset it")
        folder = f"a folder is written ./{self.name}"
        if not get_token():
            raise InputError(
                f"no token of the hub is there to write to '{self.name}'; {_token_that_may('write to')} "
                f"({folder})"
            )
        if not hub_reachable():
            raise ZsadError(
                f"cannot push to '{self.name}' because the model hub cannot be reached; push into a folder "
                f"and upload that from a connected machine ({folder})"
            )

    @contextmanager
    def _reading(self, file: str = FILE) -> Iterator[None]:
        from zsad.backbones.hub import hub_errors

        with hub_errors(self.address, "give the file's path"), self._answers("read", file):
            yield

    @contextmanager
    def _answers(self, deed: str, file: str = FILE) -> Iterator[None]:
        """Turn what the hub answers into one sentence; while reading, other errors pass."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            yield
        except ZsadError:
            raise
        except Exception as error:
            # The client takes some answers for a missing network, and says only what the cache lacks.
            answer = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
            sentence = self._refusal(answer, deed, file)
            if sentence is None and deed != "read":
                sentence = ZsadError(f"could not {deed} '{self.name}': {cause(error)[:300]}")
            if sentence is None:
                raise
            raise sentence from error

    def _refusal(self, answer: BaseException | None, deed: str, file: str) -> ZsadError | None:
        from huggingface_hub import errors

        if not isinstance(answer, errors.HfHubHTTPError):
            return None
        if isinstance(answer, errors.RevisionNotFoundError):
            return InputError(f"'{self.name}' on the hub has no revision '{self.revision or 'main'}'")
        if isinstance(answer, errors.EntryNotFoundError):
            return InputError(f"'{self.name}' on the hub has no file '{file}'")
        gated = isinstance(answer, errors.GatedRepoError)
        if deed == "read" and isinstance(answer, errors.RepositoryNotFoundError) and not gated:
            return InputError(
                f"the hub shows no repository '{self.name}'; check the name, or {_token_that_may(deed)}"
            )
        if gated or answer.response.status_code in (401, 403):
            return ZsadError(f"the hub does not let you {deed} '{self.name}'; {_token_that_may(deed)}")
        return ZsadError(f"could not {deed} '{self.name}': {cause(answer)[:300]}")


def cached_files() -> Iterator[tuple[str, Path]]:
    """Yield the weights in the hub's local cache: what ``--weights`` takes, and the file."""
    from huggingface_hub import constants

    for path in sorted(Path(constants.HF_HUB_CACHE).glob(f"models--*/snapshots/*/{FILE}")):
        name = path.parents[2].name.removeprefix("models--").replace("--", "/")
        yield HubRepository(name, path.parent.name).address, path


def _token_that_may(deed: str) -> str:
    return f"set HF_TOKEN to a token that may {deed} it, or log in with 'hf auth login'"


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="zsad")
