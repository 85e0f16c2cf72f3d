from __future__ import annotations

import re
import shlex

import pytest
import torch
import yaml

from zsad.backbones.card import TrainedOn
from zsad.cli.main import main
from zsad.errors import InputError
from zsad.weights.card import WeightsCard, file_sha256, read_card
from zsad.weights.card_text import card_fields, card_markdown, model_card, size_words, write_card_markdown
from zsad.weights.file import WeightsFile, read_weights_file
from zsad.weights.loading import save_weights

CARD = WeightsCard(
    method="acme.bolts",
    parts={
        "prompt_learner": "acme.prompts",
        "post_processors:acme": "acme",
        "post_processors:acme.b": "acme.b",
    },
    profile={"activation": "gelu", "position_embedding": "bicubic", "adapter": None},
    text_activation="quick_gelu",
    backbone="ab" * 32,
    origin="own",
    trained_on=(
        TrainedOn(dataset="bolts", classes=("m4", "m_5", "_m6_"), manifest="cd" * 32),
        TrainedOn(dataset="nuts", classes=("hex",)),
        TrainedOn(dataset="washers"),
    ),
)
TENSORS = {
    "prompt_learner.context": torch.zeros(2, 12, 64),
    "prompt_learner.deep": torch.zeros(3),
    "post_processors:acme.w": torch.zeros(5),
    "post_processors:acme.b.w": torch.zeros(7, 1),
}


@pytest.fixture
def saved(tmp_path):
    def write(**changes: object) -> WeightsFile:
        path = tmp_path / "weights.safetensors"
        save_weights(path, TENSORS, CARD.model_copy(update=changes))
        return read_weights_file(path)

    return write


def rows(markdown: str) -> dict[str, str]:
    """Read the table back."""
    lines = re.findall(r"^\| (.+) \| (.+) \|$", markdown, flags=re.MULTILINE)
    return {key: re.sub(r"\\(.)", r"\1", value) for key, value in lines if key}


def test_what_a_file_holds(saved) -> None:
    weights = saved()
    assert weights.card == CARD == read_card(weights.path)
    assert weights.size == weights.path.stat().st_size
    assert weights.sha256 == file_sha256(weights.path)
    # A part's name may begin another's.
    assert weights.parameters == {
        "prompt_learner": 2 * 12 * 64 + 3, "post_processors:acme": 5, "post_processors:acme.b": 7
    }  # fmt: skip


def test_in_words(saved) -> None:
    fields = card_fields(saved())
    assert fields["method"] == "acme.bolts"
    assert fields["learned parts"].startswith("prompt_learner: acme.prompts (1,539 values), ")
    assert fields["vision profile"] == "activation gelu, position embedding bicubic"
    assert fields["text activation"] == "quick_gelu"
    assert fields["origin"] == "own training"
    assert fields["trained on"] == "bolts (3 classes); nuts (1 class); washers (classes not stated)"
    assert fields["source"] is None


def test_what_nobody_said(saved) -> None:
    weights = saved(trained_on=None, backbone=None, profile={}, text_activation=None, origin="authors")
    fields = card_fields(weights)
    assert fields["trained on"] == fields["backbone"] == fields["vision profile"] == "not stated"
    assert fields["origin"].startswith("converted from the authors'")
    page = card_markdown(weights, name="w")
    assert "## Trained on" not in page and "text activation" not in page
    assert "BACKBONE stands for the name of the backbone that they were learned on." in page
    assert card_fields(saved(trained_on=()))["trained on"] == "nothing"


def test_the_page_says_all_of_it(saved) -> None:
    weights = saved()
    page = card_markdown(weights, name="hf://acme/bolts", backbone="ViT-B-32:openai", licence="apache-2.0")
    assert page.startswith("# Learned weights of acme.bolts\n")
    table = rows(page)
    fields = {key: value for key, value in card_fields(weights).items() if value}
    assert table == fields | {"licence": "apache-2.0", "backbone": f"ViT-B-32:openai (sha256 {'ab' * 32})"}
    assert f"- bolts: m4, m_5, \\_m6\\_ (manifest {'cd' * 32})\n- nuts: hex\n- washers" in page
    assert "licence" not in rows(card_markdown(weights, name="w"))


def test_what_it_says_to_type_is_understood(saved, capsys) -> None:
    """The command line of the page is one, up to the method, which does not exist."""
    page = card_markdown(saved(), name="my weights.safetensors", backbone="mini")
    (line,) = re.findall(r"```sh\n(.+)\n```", page)
    with pytest.raises(SystemExit) as leave:
        main(shlex.split(line)[1:])
    assert leave.value.code == 2 and "unknown method 'acme.bolts'" in capsys.readouterr().err
    (call,) = re.findall(r"```python\n(.+?)\n```", page, flags=re.DOTALL)
    with pytest.raises(InputError, match=r"unknown method 'acme\.bolts'"):
        exec(call, {})


def test_embedded_weights_need_no_option(saved) -> None:
    page = card_markdown(saved(), name=None, backbone="mini")
    assert "--backbone mini\n" in page and "weights=" not in page


def test_an_adapter_is_asked_for(saved) -> None:
    page = card_markdown(saved(profile={"adapter": "ef" * 8}), name="w")
    assert "--adapter ADAPTER" in page and 'adapter="ADAPTER"' in page
    assert f"ADAPTER stands for the folder of the adapter {'ef' * 8}" in page
    assert "ADAPTER" in card_markdown(saved(text_adapter="ef" * 8), name="w")
    assert "adapter" not in card_markdown(saved(), name="w")


def test_nothing_of_a_card_becomes_markup(saved) -> None:
    evil = TrainedOn(dataset="a|b\n# c <script> [x](y) `z` *w*", classes=("&amp;",))
    page = card_markdown(saved(method="m`\n```\nrm", trained_on=(evil,)), name="w")
    assert "<script" not in page and "\n# c" not in page and page.count("\n```") == 4
    assert r"a\|b # c &lt;script> \[x\](y) \`z\` \*w\*" in page
    assert "&amp;amp;" in page


def test_the_front_matter_is_what_hubs_read(saved) -> None:
    readme = model_card(saved(), name="hf://acme/bolts", backbone="hf-hub:acme/clip: x", licence="apache-2.0")
    _, head, body = readme.split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata["library_name"] == "zsad" and metadata["license"] == "apache-2.0"
    assert metadata["base_model"] == "acme/clip: x" and metadata["backbone_sha256"] == "ab" * 32
    assert {"anomaly-detection", "zero-shot", "acme.bolts"} <= set(metadata["tags"])
    assert body.startswith("\n# Learned weights") and "--weights hf://acme/bolts" in body
    bare = yaml.safe_load(model_card(saved(backbone=None), name="w", backbone="mini").split("---\n")[1])
    assert set(bare) == {"library_name", "tags"}


def test_huggingface_hub_accepts_it(saved) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard(model_card(saved(), name="w", licence="mit", backbone="hf-hub:acme/clip"))
    assert card.data.library_name == "zsad" and card.data.license == "mit"
    assert card.data.base_model == "acme/clip"


def test_written_beside_the_weights(saved) -> None:
    weights = saved()
    path = write_card_markdown(weights.path)
    assert path == weights.path.with_name("weights.md")
    assert path.read_text() == card_markdown(weights, name="weights.safetensors")
    with pytest.raises(InputError, match="not a safetensors"):
        write_card_markdown(path)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (1 << 41, "2048.0 GiB"),
    ],
)
def test_sizes(size, words) -> None:
    assert size_words(size) == words
