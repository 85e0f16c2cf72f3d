"""LoRA on frozen towers: what it changes, what it leaves alone, what it learns and how it is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.loading import load_detector
from zsad.backbones.card import TrainedOn
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.loading import load_backbone
from zsad.detect.detector import Detector
from zsad.detect.passes import Pass, group_by_pass
from zsad.errors import InputError, ZsadError
from zsad.evaluation.cells import Contestant
from zsad.recipe.settings import Settings
from zsad.streams import SelfAttention, Stream, TokenRequest, VisionRequest
from zsad.weights.adapter.card import read_adapter_card
from zsad.weights.adapter.lora import (
    adapt_backbone,
    adapter_hashes,
    adapter_parameters,
    adapter_state,
    load_adapter,
    load_adapter_state,
    refreshed,
    save_adapter,
)
from zsad.weights.adapter.options import LoraOptions, lora_options
from zsad.weights.card import WeightsCard
from zsad.weights.loading import save_weights

SEEN = (TrainedOn(dataset="squares", classes=("square",), manifest="0" * 64),)
EVERY = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
TEXTS = ("a photo of a gear", "a photo of a damaged gear")


def learned(backbone: ClipBackbone, size: float = 0.1, **options: object) -> ClipBackbone:
    """Return the backbone with an adapter whose B is not zero, as after learning."""
    adapted = adapt_backbone(backbone, LoraOptions.model_validate({"rank": 4, **options}))
    random = torch.Generator().manual_seed(1)
    for parameter in adapter_parameters(adapted).values():
        parameter.data += size * torch.randn(parameter.shape, generator=random)
    return refreshed(adapted)


@torch.no_grad()
def vision(backbone: ClipBackbone) -> Tensor:
    """Return patch tokens of the ordinary and of a refined stream, and the image feature, joined."""
    tower = backbone.vision_tower()
    read = (TokenRequest("o", tower.depth), TokenRequest("v", tower.depth, Stream(1, SelfAttention())))
    side = tower.patch_size * 4
    images = F.interpolate(IMAGES, (side, side))
    (output,) = tower(images, [VisionRequest(tuple(read))])
    return torch.cat(
        [*(entry.tokens.flatten() for entry in output.token_sets), output.image_feature.flatten()]
    )


@torch.no_grad()
def text(backbone: ClipBackbone) -> Tensor:
    tower = backbone.text_tower()
    assert tower is not None
    ids = tower.tokenize(TEXTS)
    return tower(tower.embed(ids), tower.end_positions(ids))


def gear() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


class TestFeatures:
    def test_a_fresh_adapter_changes_no_bit(self, tiny_backbone) -> None:
        adapted = adapt_backbone(tiny_backbone, LoraOptions(target="both", modules=EVERY))
        assert torch.equal(vision(adapted), vision(tiny_backbone))
        assert torch.equal(text(adapted), text(tiny_backbone))
        assert all(name.endswith("lora_B.weight") == (not value.any())
                   for name, value in adapter_parameters(adapted).items())  # fmt: skip

    def test_a_learned_one_is_a_low_rank_change_of_the_weights(self, tiny_backbone) -> None:
        adapted = learned(tiny_backbone, target="both", modules=EVERY, rank=3, alpha=5)
        merged = load_backbone(tiny_backbone.card.name, "cpu", "float32")
        state = adapter_state(adapted)
        for tower in ("vision", "text"):
            for number, block in enumerate(merged.blocks(tower)):
                for name in EVERY:
                    a, b = (state[f"{tower}.blocks.{number}.{name}.lora_{letter}.weight"] for letter in "AB")
                    getattr(block, name).weight.data += 5 / 3 * b @ a
        for read in (vision, text):
            assert not torch.allclose(read(adapted), read(tiny_backbone), atol=1e-2)
            torch.testing.assert_close(read(adapted), read(merged), atol=1e-4, rtol=1e-4)

    def test_switched_off_it_leaves_no_trace(self, tiny_backbone) -> None:
        adapted = learned(tiny_backbone, target="both")
        layers = [module for module in adapted.adapter.towers.modules() if isinstance(module, LoraLinear)]
        assert len(layers) == (4 + 3) * 4
        for layer in layers:
            layer.enable_adapters(False)
        assert torch.equal(vision(adapted), vision(tiny_backbone))
        assert torch.equal(text(adapted), text(tiny_backbone))

    @pytest.mark.parametrize(("target", "other"), [("vision", text), ("text", vision)])
    def test_the_other_tower_keeps_every_bit(self, tiny_backbone, target, other) -> None:
        adapted = learned(tiny_backbone, target=target)
        assert torch.equal(other(adapted), other(tiny_backbone))

    def test_only_the_named_layers_are_adapted(self, tiny_backbone) -> None:
        adapted = adapt_backbone(tiny_backbone, LoraOptions(modules=("fc1", "v_proj"), rank=2))
        names = {name.split(".", 3)[3] for name in adapter_parameters(adapted)}
        assert names == {f"{name}.lora_{letter}.weight" for name in ("fc1", "v_proj") for letter in "AB"}
        assert adapter_parameters(adapted)["vision.blocks.2.fc1.lora_A.weight"].shape == (2, 64)

    def test_the_seed_decides_on_a(self, tiny_backbone) -> None:
        before = torch.random.get_rng_state()
        first, again, other = (
            adapter_hashes(adapt_backbone(tiny_backbone, LoraOptions(), seed)) for seed in (0, 0, 1)
        )
        assert first == again != other
        assert torch.equal(before, torch.random.get_rng_state())


class TestBackbone:
    def test_the_plain_backbone_stays_as_it_is(self, tmp_path) -> None:
        # A backbone of its own: its hash is of its module's values as they are when it is asked for.
        plain = load_backbone(
            f"{Path(__file__).parents[1] / 'assets' / 'tiny-clip.json'}@random:5", "cpu", "float32"
        )
        kept = vision(plain), text(plain)
        before = [(block, dict(block.named_modules())) for block in plain.blocks("vision")]
        gradients = [value.requires_grad for value in plain.vision_tower().parameters()]
        adapted = learned(plain, target="both")
        save_adapter(adapted, tmp_path, method="m", trained_on=SEEN)
        loaded = load_adapter(plain, tmp_path)
        changed = vision(loaded)
        assert not torch.equal(changed, kept[0])
        assert torch.equal(vision(plain), kept[0]) and torch.equal(text(plain), kept[1])
        twin = load_backbone(plain.card.name, "cpu", "float32")
        assert plain.sha256 == twin.sha256 == adapted.sha256 == loaded.sha256
        assert plain.adapter is None and plain.native_profile.adapter is None
        assert all(dict(block.named_modules()) == modules for block, modules in before)
        assert not any(isinstance(module, LoraLinear) for module in plain.vision_tower().modules())
        assert [value.requires_grad for value in plain.vision_tower().parameters()] == gradients

    def test_the_weights_are_shared(self, tiny_backbone) -> None:
        adapted = adapt_backbone(tiny_backbone, LoraOptions())
        own, plain = adapted.vision_tower().blocks[0], tiny_backbone.vision_tower().blocks[0]
        assert own.q_proj.base_layer is not plain.q_proj and own.ln_1 is not plain.ln_1
        assert own.q_proj.base_layer.weight.data_ptr() == plain.q_proj.weight.data_ptr()
        assert own.fc2.weight.data_ptr() == plain.fc2.weight.data_ptr()
        other = adapted.native_profile.model_copy(update={"activation": "quick_gelu"})
        assert adapted.vision_tower(other).blocks[0].q_proj is own.q_proj

    def test_an_adapted_one_is_not_adapted_again(self, tiny_backbone) -> None:
        with pytest.raises(InputError, match="has an adapter already"):
            adapt_backbone(adapt_backbone(tiny_backbone, LoraOptions()), LoraOptions())

    def test_a_backbone_without_text_is_told_so(self, tiny_backbone, monkeypatch) -> None:
        monkeypatch.setattr(tiny_backbone, "_text", None)
        with pytest.raises(InputError, match=r"no text tower to adapt; use --set adapter\.target=vision"):
            adapt_backbone(tiny_backbone, LoraOptions(target="both"))

    def test_a_plain_one_has_no_parameters_of_an_adapter(self, tiny_backbone) -> None:
        with pytest.raises(ValueError, match="has no adapter"):
            adapter_parameters(tiny_backbone)


class TestIdentity:
    def test_a_vision_adapter_changes_the_encode_key(self, tiny_backbone) -> None:
        plain, one, other = (
            load_detector("clip-baseline", backbone=backbone)
            for backbone in (tiny_backbone, learned(tiny_backbone), learned(tiny_backbone, size=0.2))
        )
        assert len({found.encode_key for found in (plain, one, other)}) == 3
        assert one.encode_key.backbone == plain.encode_key.backbone
        assert one.recipe.profile.adapter == adapter_hashes(one.backbone)["vision"]
        assert len({found.recipe.hash for found in (plain, one, other)}) == 3

    def test_the_scale_is_part_of_the_hash(self, tiny_backbone) -> None:
        first, second = (learned(tiny_backbone, alpha=alpha) for alpha in (8, 16))
        assert adapter_state(first).keys() == adapter_state(second).keys()
        assert adapter_hashes(first) != adapter_hashes(second)

    def test_a_text_adapter_changes_the_run_but_not_the_pass(self, tiny_backbone) -> None:
        plain = load_detector("clip-baseline", backbone=tiny_backbone)
        adapted = load_detector("clip-baseline", backbone=learned(tiny_backbone, target="text"))
        assert plain.encode_key == adapted.encode_key
        assert plain.recipe.hash != adapted.recipe.hash
        assert adapted.recipe.as_dict()["text_profile"]["adapter"] == adapter_hashes(adapted.backbone)["text"]

    def test_learning_changes_what_refreshed_profiles_say(self, tiny_backbone) -> None:
        adapted = adapt_backbone(tiny_backbone, LoraOptions(target="both"))
        for parameter in adapter_parameters(adapted).values():
            parameter.data += 0.1
        again = refreshed(adapted)
        assert again.native_profile.adapter == adapter_hashes(adapted)["vision"]
        assert again.native_profile.adapter != adapted.native_profile.adapter
        assert again.native_text_profile.adapter != adapted.native_text_profile.adapter
        assert again.adapter is adapted.adapter and torch.equal(vision(again), vision(adapted))

    def test_two_detectors_on_one_backbone(self, tiny_backbone) -> None:
        plain = load_detector("clip-baseline", backbone=tiny_backbone)
        before = plain.predict([gear()], "gear")
        adapted = load_detector("clip-baseline", backbone=learned(tiny_backbone, target="both"))
        own = adapted.predict([gear()], "gear")
        after = plain.predict([gear()], "gear")
        assert torch.equal(before.anomaly_map, after.anomaly_map) and torch.equal(before.score, after.score)
        assert not torch.allclose(own.anomaly_map, after.anomaly_map, atol=1e-4)
        assert len(group_by_pass([plain, adapted])) == 2


class TestFolder:
    @pytest.fixture
    def folder(self, tiny_backbone, tmp_path) -> Path:
        adapted = learned(tiny_backbone, target="both", rank=4, alpha=6, dropout=0.25)
        save_adapter(adapted, tmp_path / "lora", method="clip-baseline", trained_on=SEEN)
        return tmp_path / "lora"

    def test_it_comes_back_bit_for_bit(self, tiny_backbone, folder) -> None:
        adapted, loaded = learned(tiny_backbone, target="both", alpha=6), load_adapter(tiny_backbone, folder)
        assert torch.equal(vision(loaded), vision(adapted)) and torch.equal(text(loaded), text(adapted))
        assert loaded.native_profile == adapted.native_profile
        assert loaded.native_text_profile == adapted.native_text_profile
        assert not any(value.requires_grad for value in adapter_parameters(loaded).values())

    def test_the_card_says_what_it_belongs_to(self, tiny_backbone, folder) -> None:
        card = read_adapter_card(folder)
        assert card.backbone == tiny_backbone.sha256 and card.method == "clip-baseline"
        assert card.trained_on == SEEN and card.trained_on_words() == "squares"
        assert card.options == LoraOptions(target="both", rank=4, alpha=6, dropout=0.25)
        assert card.towers == adapter_hashes(load_adapter(tiny_backbone, folder))

    def test_what_it_saw_counts_for_the_backbone(self, tiny_backbone, folder) -> None:
        assert not tiny_backbone.card.saw_anomaly_labels
        detector = load_detector("clip-baseline", backbone=tiny_backbone, adapter=folder)
        assert detector.trained and detector.setting.startswith("auxiliary-trained")
        assert detector.backbone.card.name == f"{tiny_backbone.card.name} with {folder}"
        assert detector.backbone.card.trained_on.endswith("; adapter on squares")
        assert SEEN[0] in next(iter(Contestant(detector).training_sets.values()))

    def test_it_is_in_pefts_own_format(self, tiny_backbone, folder) -> None:
        assert {path.name for path in folder.iterdir()} == {
            "adapter_config.json", "adapter_model.safetensors", "zsad.json",
        }  # fmt: skip
        config = PeftConfig.from_pretrained(folder)
        assert isinstance(config, LoraConfig) and config.inference_mode
        assert (config.r, config.lora_alpha, config.lora_dropout) == (4, 6, 0.25)
        plain = nn.ModuleDict()
        twin = load_backbone(tiny_backbone.card.name, "cpu", "float32")
        for tower in ("vision", "text"):
            plain[tower] = nn.ModuleDict({"blocks": nn.ModuleList(twin.blocks(tower))})
        model = PeftModel.from_pretrained(plain, folder)  # replaces the twin's layers in place
        stored = load_file(folder / "adapter_model.safetensors")
        own = get_peft_model_state_dict(model)
        assert own.keys() == stored.keys() and all(torch.equal(own[name], stored[name]) for name in own)
        loaded = load_adapter(tiny_backbone, folder)
        assert torch.equal(vision(loaded), vision(twin)) and torch.equal(text(loaded), text(twin))

    def test_saving_again_replaces_it(self, tiny_backbone, folder) -> None:
        other = learned(tiny_backbone, size=0.3)
        save_adapter(other, folder, method="winclip", trained_on=())
        assert load_adapter(tiny_backbone, folder).native_profile == other.native_profile
        assert read_adapter_card(folder).trained_on_words() == "nothing"
        assert len(list(folder.iterdir())) == 3

    def test_another_backbone_is_refused(self, tiny_backbone, folder) -> None:
        other = load_backbone(tiny_backbone.card.name.replace(":0", ":1"), "cpu", "float32")
        with pytest.raises(
            InputError, match=r"lora was learned on another backbone \(sha256 .* this one has"
        ):
            load_adapter(other, folder)

    @pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
    def test_no_peft_folder(self, folder, name) -> None:
        (folder / name).unlink()
        with pytest.raises(InputError, match=f"not a folder of a PEFT adapter: it lacks {name}; name one"):
            load_detector("clip-baseline", backbone="no-backbone-is-loaded", adapter=folder)

    def test_no_folder_and_no_card(self, folder) -> None:
        with pytest.raises(InputError, match="there is no such folder"):
            load_detector("clip-baseline", backbone="no-backbone-is-loaded", adapter=folder / "x")
        (folder / "zsad.json").unlink()
        with pytest.raises(InputError, match=r"lacks zsad\.json, which says what backbone"):
            load_detector("clip-baseline", backbone="no-backbone-is-loaded", adapter=str(folder))

    @pytest.mark.parametrize(
        ("content", "reason"), [("{", "Invalid JSON"), ('{"format": 1}', "options: Field required")]
    )
    def test_a_broken_card(self, folder, content, reason) -> None:
        (folder / "zsad.json").write_text(content)
        with pytest.raises(InputError, match=f"zsad.json is not readable: .*{reason}"):
            read_adapter_card(folder)

    def test_broken_tensors(self, tiny_backbone, folder) -> None:
        (folder / "adapter_model.safetensors").write_bytes(b"no tensors")
        with pytest.raises(InputError, match="is not a readable safetensors file"):
            load_adapter(tiny_backbone, folder)

    def test_tensors_that_git_lfs_did_not_fetch(self, tiny_backbone, folder) -> None:
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
        (folder / "adapter_model.safetensors").write_text(pointer)
        with pytest.raises(InputError, match="it is a Git LFS pointer"):
            load_adapter(tiny_backbone, folder)

    def test_tensors_of_another_adapter(self, tiny_backbone, folder) -> None:
        path = folder / "adapter_model.safetensors"
        state = load_file(path)
        name = "base_model.model.vision.blocks.0.q_proj.lora_A.weight"
        cases = {
            "is not the file that zsad.json": state | {name: state[name] + 1},
            "shape": state | {name: torch.zeros(5, 64)},
            "lacks": {key: value for key, value in state.items() if key != name},
            "has the unknown 'vision.x'": state | {"base_model.model.vision.x": torch.zeros(1)},
        }
        for reason, tensors in cases.items():
            save_file(tensors, path)
            with pytest.raises(InputError, match=reason):
                load_adapter(tiny_backbone, folder)

    @pytest.mark.parametrize(
        ("entry", "value"),
        [
            ("r", 8),
            ("use_dora", True),
            ("init_lora_weights", "pissa"),
            ("bias", "all"),
            ("modules_to_save", ["x"]),
        ],
    )
    def test_a_config_that_asks_for_something_else(self, tiny_backbone, folder, entry, value) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {entry: value}))
        with pytest.raises(InputError, match=f"is not the config of the adapter .* '{entry}' is"):
            load_adapter(tiny_backbone, folder)

    @pytest.mark.parametrize("content", ["[]", "{", '{"peft_type": "LARGE"}', "{}"])
    def test_a_config_that_cannot_be_read(self, tiny_backbone, folder, content) -> None:
        (folder / "adapter_config.json").write_text(content)
        with pytest.raises(InputError, match=r"adapter_config\.json is not"):
            load_adapter(tiny_backbone, folder)

    def test_a_folder_that_cannot_be_written(self, tiny_backbone, tmp_path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ZsadError, match=r"cannot write .* in folder '.*file'"):
            save_adapter(learned(tiny_backbone), tmp_path / "file", method="m", trained_on=SEEN)


class TestPrecision:
    def test_bfloat16_towers_keep_the_adapter_in_float32(self, tiny_backbone, tmp_path) -> None:
        adapted = learned(tiny_backbone, target="both")
        save_adapter(adapted, tmp_path, method="m", trained_on=SEEN)
        plain = load_backbone(tiny_backbone.card.name, "cpu", "bfloat16")
        half = load_adapter(plain, tmp_path)
        assert {value.dtype for value in adapter_parameters(half).values()} == {torch.float32}
        assert half.native_profile.adapter == adapted.native_profile.adapter
        assert half.native_profile.dtype == "bfloat16"
        for read in (vision, text):
            found, exact = read(half), read(adapted)
            assert found.dtype == torch.bfloat16
            # Nearer to the adapted features of full precision than these are to the plain ones.
            change = (exact - read(tiny_backbone)).norm()
            assert (found.float() - exact).norm() < 0.1 * change

    @pytest.mark.acceptance
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_a_real_architecture(self, dtype, tmp_path) -> None:
        plain = load_backbone("ViT-B-32@random:0", "cpu", dtype)
        kept = vision(plain), text(plain)
        save_adapter(learned(plain, target="both"), tmp_path, method="m", trained_on=SEEN)
        loaded = load_adapter(plain, tmp_path)
        for before, read in zip(kept, (vision, text), strict=True):
            assert torch.equal(read(plain), before) and not torch.equal(read(loaded), before)
            assert read(loaded).isfinite().all() and read(loaded).dtype == before.dtype


class TestLearning:
    @staticmethod
    def examples() -> tuple[list[np.ndarray], Tensor]:
        """Return four dark images of 112 x 112 pixels, three of them with a bright square, and its mask."""
        images = list(np.random.default_rng(0).integers(20, 60, (4, 112, 112, 3), dtype=np.uint8))
        masks = torch.zeros(4, 112, 112, dtype=torch.long)
        for number in range(3):
            place = 16 * number
            masks[number, place : place + 60, 30:90] = 1
            images[number][place : place + 60, 30:90] += 180
        return images, masks

    @pytest.mark.parametrize("target", ["vision", "text"])
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_steps_lower_a_loss_through_the_tower(self, target, dtype) -> None:
        plain = load_backbone("mini", "cpu", dtype)
        digest = [
            state_digest(block.state_dict()) for name in ("vision", "text") for block in plain.blocks(name)
        ]
        adapted = adapt_backbone(plain, LoraOptions(rank=2, target=target, modules=EVERY))
        detector = load_detector("clip-baseline", backbone=adapted, image_size=112)
        images, masks = self.examples()
        samples = detector.samples(images, "screw")
        parameters = adapter_parameters(adapted)
        assert parameters and all(value.requires_grad for value in parameters.values())
        optimiser = torch.optim.Adam(parameters.values(), lr=5e-3)
        losses = []
        for step in range(6):
            (features,) = Pass([detector.reading], samples).run()
            scores = detector.part("scorer")(features, detector.condition(features))
            values = F.interpolate(scores.sets[-1].values, (112, 112), mode="bilinear")
            loss = F.cross_entropy(values, masks)
            optimiser.zero_grad()
            loss.backward()
            if step == 0:  # B is zero, so that only B has a gradient
                assert all(bool(value.grad.any()) == ("lora_B" in name) for name, value in parameters.items())
            optimiser.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.8 * losses[0], losses
        assert digest == [
            state_digest(block.state_dict()) for name in ("vision", "text") for block in plain.blocks(name)
        ]
        assert all(value.grad is None for value in plain.vision_tower().parameters())

    def test_dropout_works_in_training_mode_alone(self, tiny_backbone) -> None:
        adapted = learned(tiny_backbone, dropout=0.5)
        still = vision(adapted)
        assert torch.equal(still, vision(adapted))
        adapted.adapter.towers.train()
        assert not torch.equal(still, vision(adapted))
        adapted.adapter.towers.eval()
        assert torch.equal(still, vision(adapted))

    def test_a_checkpoint_brings_it_back(self, tiny_backbone, tmp_path) -> None:
        adapted = learned(tiny_backbone, target="both")
        torch.save(adapter_state(adapted), tmp_path / "state.pt")
        again = adapt_backbone(tiny_backbone, LoraOptions(rank=4, target="both"), seed=9)
        load_adapter_state(again, torch.load(tmp_path / "state.pt", weights_only=True))
        assert adapter_hashes(again) == adapter_hashes(adapted)
        assert all(value.requires_grad for value in adapter_parameters(again).values())
        state = adapter_state(adapted)
        adapter_parameters(adapted)["vision.blocks.0.q_proj.lora_B.weight"].data += 1
        assert adapter_hashes(again) != adapter_hashes(adapted)
        assert torch.equal(state["vision.blocks.0.q_proj.lora_B.weight"],
                           adapter_state(again)["vision.blocks.0.q_proj.lora_B.weight"])  # fmt: skip
        with pytest.raises(InputError, match="the state of the adapter does not fit this adapter: it lacks"):
            load_adapter_state(again, {})


class TestBinding:
    @staticmethod
    def weights(detector: Detector, path: Path) -> Path:
        recipe = detector.recipe
        card = WeightsCard(
            method=recipe.method,
            parts={part.key: part.spec.name for part in recipe.learnable},
            profile=recipe.profile.binding(),
            backbone=detector.backbone.sha256,
            origin="own",
            trained_on=SEEN,
        )
        tensors = {name.removeprefix("parts."): value for name, value in detector.state_dict().items()}
        save_weights(path, tensors, card)
        return path

    def test_weights_are_bound_to_the_adapter_they_were_learned_under(self, tiny_backbone, tmp_path) -> None:
        one, other = learned(tiny_backbone), learned(tiny_backbone, size=0.2)
        detector = load_detector("anomalyclip", backbone=one, untrained=True)
        path = self.weights(detector, tmp_path / "w.safetensors")
        again = load_detector("anomalyclip", backbone=one, weights=path)
        assert torch.equal(again.predict([gear()]).score, detector.predict([gear()]).score)
        for backbone in (tiny_backbone, other):
            with pytest.raises(InputError, match="learned with the adapter"):
                load_detector("anomalyclip", backbone=backbone, weights=path)

    @pytest.mark.parametrize("target", ["vision", "text"])
    def test_what_a_plugin_ships_is_not_used_beside_an_adapter(self, target) -> None:
        plain = load_backbone("mini", "cpu", "float32")
        assert load_detector("anomalyclip", backbone=plain).cards
        with pytest.raises(InputError, match="needs learned weights"):
            load_detector("anomalyclip", backbone=learned(plain, target=target))


class TestOptions:
    def test_they_are_a_section_of_the_settings(self) -> None:
        given = ["scorer.temperature=0.1", "adapter.rank=4", "adapter.modules=[q_proj, v_proj]",
                 "adapter.target=both", "image_size=64", "adapter.alpha=3",
                 "adapter.dropout=0.1"]  # fmt: skip
        settings = Settings.parse(given)
        assert settings.of("recipe").texts == ["scorer.temperature=0.1", "image_size=64"]
        assert lora_options(settings.options("adapter")) == LoraOptions(
            rank=4, modules=("q_proj", "v_proj"), target="both", alpha=3, dropout=0.1
        )
        assert lora_options({}) == LoraOptions(rank=8, target="vision", alpha=16, dropout=0.0)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("adapter.ranks=4", "'ranks' is not known; did you mean 'rank'"),
            ("adapter.rank=0", "'rank' cannot be 0"),
            ("adapter.rank", "write adapter.OPTION=VALUE"),
            ("adapter.target=audio", "'target' cannot be 'audio'"),
            ("adapter.modules=[]", "'modules' cannot be"),
            ("adapter.modules=[q_proj, q_proj]", "named twice"),
            ("adapter.dropout=1", "'dropout' cannot be 1"),
            ("adapter.rank=[", "not a value in YAML"),
        ],
    )
    def test_wrong_ones_are_named(self, text, reason) -> None:
        with pytest.raises(InputError, match="--set adapter") as caught:
            lora_options(Settings.parse([text]).options("adapter"))
        assert reason in str(caught.value)

    def test_options_and_card_need_no_torch(self) -> None:
        modules = "sys, zsad.weights.adapter.card, zsad.cli.common"
        code = f"import {modules}; print({{'torch', 'peft'}} & set(sys.modules))"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == "set()"
