from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import READER, WRITER, Hub, Repository, serving
from zsad.errors import InputError, ZsadError
from zsad.weights.repositories.folder import FILE
from zsad.weights.repositories.hub import HubRepository, cached_files
from zsad.weights.repositories.names import named_file

CONTENTS = {"README.md": b"# read me\n", "card.json": b"{}\n", FILE: b"tensors"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def filled(hub: Hub) -> Repository:
    """``acme/bolts`` with the three files on its main branch."""
    repository = hub.repositories["acme/bolts"] = Repository()
    repository.commit("main", CONTENTS, "first")
    return repository


class TestHub:
    """Asked over HTTP."""

    def test_a_push_makes_the_repository_and_a_commit(self, hub) -> None:
        page = HubRepository("acme/bolts").publish(CONTENTS, private=True, message="bolts at last")
        repository = hub.repositories["acme/bolts"]
        commit, files = repository.files("main")
        assert files == CONTENTS and repository.private and repository.messages == ["bolts at last"]
        assert page == f"{hub.endpoint}/acme/bolts/commit/{commit}"

    def test_a_push_to_a_branch(self, hub, filled) -> None:
        HubRepository("acme/bolts", "v/2").publish({FILE: b"better"}, private=False, message=None)
        assert filled.files("main")[1] == CONTENTS
        assert filled.files("v/2")[1] == {**CONTENTS, FILE: b"better"}

    def test_private_on_a_public_repository_is_refused(self, hub, filled) -> None:
        with pytest.raises(InputError, match="--private: 'acme/bolts' is public already"):
            HubRepository("acme/bolts").publish({FILE: b"secret"}, private=True, message=None)
        assert filled.files("main")[1] == CONTENTS

    def test_fetched_from_one_commit(self, hub, filled) -> None:
        folder = HubRepository("acme/bolts").fetch()
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS
        assert folder.name == filled.branches["main"]
        filled.commit("main", {FILE: b"better"}, "second")
        assert (HubRepository("acme/bolts").fetch() / FILE).read_bytes() == b"better"
        assert (HubRepository("acme/bolts", folder.name).fetch() / FILE).read_bytes() == b"tensors"
        addresses = [address for address, _ in cached_files()]
        assert f"hf://acme/bolts@{folder.name}" in addresses and len(addresses) == 2
        assert all(named_file(address) == path for address, path in cached_files())

    def test_weights_alone_are_enough(self, hub) -> None:
        repository = hub.repositories["acme/bolts"] = Repository()
        repository.commit("main", {FILE: b"t", "deep/own.safetensors": b"own"}, "m")
        assert [path.name for path in HubRepository("acme/bolts").fetch().iterdir()] == [FILE]
        assert named_file("hf://acme/bolts@main/deep/own.safetensors").read_bytes() == b"own"

    def test_without_network_the_cache_answers(self, hub, filled, monkeypatch) -> None:
        from huggingface_hub import constants

        first = HubRepository("acme/bolts").fetch()
        hub.requests.clear()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert HubRepository("acme/bolts").fetch() == first
        with pytest.raises(ZsadError, match="'hf://acme/nuts' could not be downloaded because the model hub"):
            HubRepository("acme/nuts").fetch()
        with pytest.raises(ZsadError, match="because HF_HUB_OFFLINE is set; unset it"):
            HubRepository("acme/bolts").publish(CONTENTS, private=False, message=None)
        assert hub.requests == []

    @pytest.mark.parametrize(
        ("name", "part"),
        [
            ("hf://acme/nuts", "no repository 'acme/nuts'.*HF_TOKEN"),
            ("hf://acme/bolts@v9", "'acme/bolts' on the hub has no revision 'v9'"),
            ("hf://acme/bolts/own.safetensors", r"'acme/bolts' on the hub has no file 'own\.safetensors'"),
        ],
    )
    @pytest.mark.parametrize("token", ["", READER])
    def test_what_is_not_there(self, hub, filled, monkeypatch, name, part, token) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(InputError, match=part):
            named_file(name)

    def test_a_hidden_repository(self, hub, filled, monkeypatch) -> None:
        filled.private = True
        monkeypatch.setenv("HF_TOKEN", "")
        with pytest.raises(InputError, match="no repository 'acme/bolts'; check the name, or set HF_TOKEN"):
            HubRepository("acme/bolts").fetch()
        monkeypatch.setenv("HF_TOKEN", READER)
        assert HubRepository("acme/bolts").fetch().is_dir()

    @pytest.mark.parametrize(
        ("token", "kind", "part"),
        [("", InputError, "no token of the hub"), (READER, ZsadError, "does not let you write to 'acme/")],
    )
    def test_who_may_not_write(self, hub, filled, monkeypatch, token, kind, part) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        for name in ("acme/bolts", "acme/new"):
            with pytest.raises(kind, match=part) as caught:
                HubRepository(name).publish(CONTENTS, private=False, message=None)
            assert "HF_TOKEN" in str(caught.value) and "\n" not in str(caught.value)
        assert filled.messages == ["first"] and set(hub.repositories) == {"acme/bolts"}

    def test_a_hub_that_does_not_answer(self, hub, monkeypatch) -> None:
        from zsad.backbones.hub import hub_reachable

        hub.shutdown()
        hub.server_close()
        hub_reachable.cache_clear()
        with pytest.raises(ZsadError, match="cannot push to 'acme/bolts' because the model hub cannot be"):
            HubRepository("acme/bolts").publish(CONTENTS, private=False, message=None)
        with pytest.raises(ZsadError, match="'hf://acme/bolts' could not be downloaded because the model"):
            HubRepository("acme/bolts").fetch()

    def test_another_answer_keeps_its_reason(self, hub, filled) -> None:
        hub.refusal = "no more space for bolts"
        with pytest.raises(ZsadError, match=r"write to 'acme/bolts': .*no more space for bolts") as caught:
            HubRepository("acme/bolts").publish(CONTENTS, private=False, message=None)
        assert "\n" not in str(caught.value)
        assert filled.messages == ["first"]


def test_the_environment_is_all_it_takes(hub, tmp_path) -> None:
    """A process of its own, as users start it: address and token come from the environment."""
    hub.repositories["acme/bolts"] = Repository()
    hub.repositories["acme/bolts"].commit("main", CONTENTS, "m")
    code = "from zsad.weights.repositories.names import named_file; print(named_file('hf://acme/bolts').read_bytes())"
    environ = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "HF_TOKEN": WRITER,
               "PYTHONPATH": ":".join(filter(None, sys.path))}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.stdout.strip() == repr(b"tensors"), done.stderr
