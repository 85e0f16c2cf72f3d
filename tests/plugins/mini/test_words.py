"""The second edition of mini's words: what was known reads as ever, and what was added is there."""

from __future__ import annotations

import re
import warnings
from importlib.resources import files

import pytest
import torch
import yaml

from tests.loading import load_detector
from tools.train_mini.added_sentences import meaning
from tools.train_mini.words import ABNORMAL, NORMAL, NOUNS, TEMPLATES
from zsad.backbones.loading import load_backbone
from zsad.backbones.text import TextTower
from zsad.errors import ZsadError
from zsad_plugins.datasets import MVTEC, VISA
from zsad_plugins.mini.added_rows import begun, read_added_rows, write_added_rows
from zsad_plugins.mini.backbone import read_mini
from zsad_plugins.mini.tokenizer import UNKNOWN_ROW, RowTokenizer, UnknownWordsWarning
from zsad_plugins.mini.words import Words, read_words

FIRST_EDITION = "ec4ec5bf574e535691d63efa13a4ef7ac53b9f24f64028fa3d1a6a00894b9912"
"""Hash of all tensors of the first edition: methods' weights were learned on these."""

SETS = {
    "MVTec AD": MVTEC,
    "VisA": VISA,
    "BTAD": ("01", "02", "03"),
    "MPDD": ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes"),
    "MVTec LOCO AD": ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"),
    "MVTec AD 2": ("can", "fabric", "fruit_jelly", "rice", "sheet_metal", "vial", "wallplugs", "walnuts"),
    "MVTec 3D-AD": (
        *("bagel", "cable_gland", "carrot", "cookie", "dowel", "foam", "peach", "potato", "rope", "tire"),
    ),
    "Real-IAD": (
        *("audiojack", "bottle_cap", "button_battery", "end_cap", "eraser", "fire_hood", "mint", "mounts"),
        *("pcb", "phone_battery", "plastic_nut", "plastic_plug", "porcelain_doll", "regulator"),
        *("rolled_strip_base", "sim_card_set", "switch", "tape", "terminalblock", "toothbrush", "toy"),
        *("toy_brick", "transistor1", "u_block", "usb", "usb_adaptor", "vcpill", "wooden_beads"),
        *("woodstick", "zipper"),
    ),
    "DTD-Synthetic": (
        *("Blotchy_099", "Fibrous_183", "Marbled_078", "Matted_069", "Mesh_114", "Perforated_037"),
        *("Stratified_154", "Woven_001"),
    ),
    "DAGM": ("Class1", "Class10"),
    "KolektorSDD, MTD, ELPV, CrackForest, rails, GoodsAD": (
        *("electrical commutator", "surface", "magnetic tile", "solar cell", "road pavement", "rail"),
        *("cigarette box", "drink bottle", "drink can", "food bottle", "food box", "food package"),
    ),
    "medical": (
        *("brain", "brain MRI", "head CT", "liver", "liver CT", "retina", "retinal OCT", "chest"),
        *("chest x-ray film", "skin", "colon", "polyp", "thyroid", "thyroid ultrasound", "endoscopy"),
        *("histopathological image", "dermoscopy", "fundus", "kidney", "lung", "breast", "prostate"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def mini():
    return load_backbone("mini", "cpu", "float32")


@pytest.fixture(scope="module")
def tokenizer(mini) -> RowTokenizer:
    found = mini.text_tower().tokenizer
    assert isinstance(found, RowTokenizer)
    return found


def unknown(tokenizer: RowTokenizer, texts) -> list[str]:
    """Return the words of texts that are not known; names in braces are places, not words."""
    plain = [re.sub(r"\{\w*\}", " ", str(text)) for text in texts]
    words = {word for text in plain for word in tokenizer.words(text) if any(map(str.isalnum, word))}
    return sorted(word for word in words if not tokenizer.knows(word))


def prompt_files(folder=None):
    """Return every prompt file, those in folders too."""
    entries = sorted((folder or files("zsad_prompts")).iterdir(), key=lambda entry: entry.name)
    nested = [file for entry in entries if entry.is_dir() for file in prompt_files(entry)]
    return nested + [entry for entry in entries if entry.name.endswith(".yaml")]


def texts_of(data, top: bool = True):
    """Yield texts, and names of classes; keys at the top are names of lists."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in ("source", "licence"):
                continue
            if not top:
                yield str(key)
            yield from texts_of(value, False)
    elif isinstance(data, list):
        for value in data:
            yield from texts_of(value, False)
    else:
        yield str(data)


def test_there_are_prompts_in_folders_too() -> None:
    assert {"winclip.yaml", "phrases.yaml", "states.yaml"} <= {file.name for file in prompt_files()}


@pytest.mark.parametrize("file", prompt_files(), ids=lambda file: file.name)
def test_every_word_of_the_prompts_is_known(tokenizer, file) -> None:
    texts = list(texts_of(yaml.safe_load(file.read_text(encoding="utf-8"))))
    assert len(texts) > 5
    assert unknown(tokenizer, texts) == []


@pytest.mark.parametrize("name", SETS)
def test_every_class_of_the_public_sets_is_known(tokenizer, name) -> None:
    nouns = yaml.safe_load((files("zsad_prompts") / "nouns.yaml").read_text(encoding="utf-8"))["nouns"]
    assert unknown(tokenizer, [nouns.get(entry, entry.replace("_", " ")) for entry in SETS[name]]) == []


@pytest.mark.parametrize(
    "texts",
    [
        "scratch scratched scratches scratching gouge gouged gouges scuff scuffs",
        "dent dents dented crack cracked cracks chip chipped chips burr burrs",
        "rust rusty rusted corrosion corroded mold mould moldy mouldy fungus stain stained stains",
        "smudge smudged smear smeared tear torn rip ripped hole holes puncture punctured",
        "fray frayed wrinkle wrinkled crease bubble bubbles blister blisters pit pits pinhole pinholes",
        "burn burnt burned scorch scorched misprint misprinted contamination contaminated foreign",
        "missing broken bent cut worn leak leaking swollen rotten loose misaligned",
        "delamination delaminated weld solder shell fissure split notch kink warped twisted",
        "discolouration discoloration tarnished debris lint fingerprint residue deformed crushed",
    ],
)
def test_common_words_of_defects_are_known(tokenizer, texts: str) -> None:
    known = tokenizer._words.known
    missing = [word for word in texts.split() if word not in known]
    # A form may be left to the rules of spelling: then it reads as another form of the same word.
    assert all(tokenizer.reading(word) is not None for word in missing)
    assert len(missing) <= 1


def test_the_tensors_of_the_first_edition_are_what_they_were(mini) -> None:
    assert mini.sha256 == FIRST_EDITION
    old, new = read_mini()[0].text.token_embedding, mini.text_tower().token_embedding
    assert len(new) - len(old) == len(read_words().added) > 1000
    assert torch.equal(new[: len(old) - 2], old[:-2]) and torch.equal(new[-2:], old[-2:])


def test_known_words_read_as_ever(mini) -> None:
    """Texts of the first edition's words give the features that its tensors alone give, bit for bit."""
    model, ids, _ = read_mini()
    first = TextTower(model.text_weights(), model.shape.text_profile(), RowTokenizer(ids, 77))
    second = mini.text_tower()
    seen = read_words().seen
    sentences = [*NOUNS, *(state.format("metal nut") for state in (*NORMAL, *ABNORMAL)), "X X X object."]
    sentences += [template.format("scratched zipper") for template in TEMPLATES]
    texts = [text for text in sentences if {w for w in first.tokenizer.words(text) if w.isalpha()} <= seen]
    assert len(texts) > 250
    rows, shifted = first.tokenize(texts), second.tokenize(texts)
    assert torch.equal(rows, first.tokenizer._rows[first.tokenizer._clip(texts)])  # as open_clip cuts them
    assert torch.equal(first.embed(rows), second.embed(shifted))
    assert torch.equal(first.end_positions(rows), second.end_positions(shifted))


class TestTable:
    def test_every_word_stands_once_and_leans_on_known_ones(self) -> None:
        words = read_words()
        forms = [form for entry in words.added for form in entry.forms]
        assert len(forms) == len(set(forms)) == len(words.places)
        assert not set(forms) & words.seen
        assert all(re.fullmatch("[a-z]+", form) for form in forms)
        assert {lean for entry in words.added for lean in entry.leans} <= words.seen
        assert all(entry.leans for entry in words.added)

    def test_every_word_of_the_first_edition_has_rows(self) -> None:
        first = RowTokenizer(read_mini()[1], 77)
        assert [word for word in sorted(read_words().seen) if not first.knows(word)] == []

    def test_the_shipped_rows_were_made_of_it(self) -> None:
        added = read_added_rows()
        first = RowTokenizer(read_mini()[1], 77)
        made = begun(read_words(), first.rows_of, 128)
        assert torch.equal(added.counts, made.counts) and torch.equal(added.leans, made.leans)
        assert len(added.places) == len(added.learned) == len(set(added.places.tolist()))
        assert all(meaning(added.words.added[place]) is not None for place in added.places.tolist())

    def test_another_table_is_refused(self, tmp_path) -> None:
        words = read_words()
        other = Words(words.seen, words.added, "another")
        rows = begun(other, RowTokenizer(read_mini()[1], 77).rows_of, 128)
        write_added_rows(tmp_path / "words.safetensors", rows)
        with pytest.raises(ZsadError, match=r"words\.safetensors was made of another table"):
            read_added_rows(tmp_path / "words.safetensors")


def test_a_row_that_was_not_learned_is_the_mean_of_those_it_leans_on(mini, tokenizer) -> None:
    embedding = mini.text_tower().token_embedding
    assert dict.fromkeys(read_words().places)["walnut"] is None
    (row,) = tokenizer.rows_of("walnut")
    entry = read_words().added[read_words().places["walnut"]]
    rows = [row for lean in entry.leans for row in tokenizer.rows_of(lean)]
    torch.testing.assert_close(embedding[row], sum(embedding[row] for row in rows) / len(rows))


def test_forms_of_a_word_share_its_row(tokenizer) -> None:
    assert tokenizer.rows_of("mold") == tokenizer.rows_of("mould") == tokenizer.rows_of("molds")
    assert tokenizer.rows_of("mold") != tokenizer.rows_of("mildew")


def test_the_control_has_rows_for_the_same_words_and_learned_none_of_them() -> None:
    control = load_backbone("mini-random", "cpu", "float32")
    text = control.text_tower()
    assert text.tokenizer.knows("gouged")
    embedding = text.token_embedding
    added = read_added_rows()
    assert len(added.places) > 500
    place = int(added.places[0])
    rows = [row for lean in added.words.added[place].leans for row in text.tokenizer.rows_of(lean)]
    begin = len(embedding) - 2 - len(added.counts)
    torch.testing.assert_close(embedding[begin + place], sum(embedding[row] for row in rows) / len(rows))


class TestUnknown:
    @pytest.fixture
    def tokenizer(self) -> RowTokenizer:
        """A tokenizer that has warned of nothing yet."""
        return RowTokenizer(read_mini()[1], 77, read_words())

    def test_a_slip_reads_as_the_word_and_is_said(self, tokenizer) -> None:
        with pytest.warns(UnknownWordsWarning) as caught:
            rows = tokenizer(["a gougd plate", "a gouged plate"])
        assert [str(entry.message) for entry in caught] == [
            "the backbone mini does not know 'gougd'; it reads 'gouged'"
        ]
        assert torch.equal(rows[0], rows[1])

    def test_what_is_near_no_word_says_nothing_and_is_said(self, tokenizer) -> None:
        with pytest.warns(UnknownWordsWarning) as caught:
            rows = tokenizer(["a scrached quokka", "a dentd zyzzyva"])
        assert [str(entry.message) for entry in caught] == [
            "the backbone mini does not know 'dentd', 'scrached'; it reads 'dented', 'scratched'",
            "the backbone mini does not know 'quokka', 'zyzzyva': such words say nothing to it; "
            "use other words, or a CLIP backbone",
        ]
        assert (rows == UNKNOWN_ROW).any(dim=1).all()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tokenizer(["a scrached quokka"])

    def test_a_common_word_is_no_slip_of_another(self, tokenizer) -> None:
        # One letter from "house" and "chain"; CLIP's tokenizer has tokens for both.
        assert tokenizer.reading("horse") is None
        assert tokenizer.reading("chain") is None

    def test_case_and_punctuation_make_no_word_unknown(self, tokenizer) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tokenizer(["A photo of a GOUGED metal-plate, with Mould."])

    def test_a_chance_row_of_pieces_is_not_taken_for_knowledge(self, tokenizer) -> None:
        # Both pieces of "comics" are tokens of other words.
        assert RowTokenizer(read_mini()[1], 77).knows("abic")
        assert not tokenizer.knows("abic")


def test_an_added_word_reaches_a_map(mini) -> None:
    """A word of the second edition changes the map, and its slip gives the same one."""
    image = (torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()

    def map_of(word: str):
        setting = f'prompt_learner.abnormal_prompts=["{word} {{}}"]'
        detector = load_detector("clip-baseline", backbone=mini, overrides=[setting])
        return detector.predict([image], class_name="plate").anomaly_map

    with pytest.warns(UnknownWordsWarning, match="'gouuged'; it reads 'gouged'"):
        slip = map_of("gouuged")
    assert torch.equal(map_of("gouged"), slip)
    assert not torch.equal(map_of("gouged"), map_of("moldy"))
