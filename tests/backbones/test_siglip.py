"""SigLIP: no class token, an attention pool, texts that are not causal, and a tokenizer of its own."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from timm.layers import GELUTanh
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

import zsad.backbones.hub as hub
from tests.loading import load_detector
from zsad.backbones.block import BlockRun
from zsad.backbones.card import BackboneCard
from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.loading import load_backbone
from zsad.backbones.names import BackboneName
from zsad.backbones.open_clip_loading import from_open_clip
from zsad.backbones.placement import activation_of
from zsad.backbones.vision import VisionTower
from zsad.errors import InputError, ZsadError
from zsad.streams import (
    Injection,
    SelfAttention,
    Stream,
    TokenRequest,
    VisionRequest,
    WindowRequest,
)
from zsad.values import Grid

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
LAST, VOCABULARY, CONTEXT = 4, 100, 16


@register_model
def vit_zsad_tiny_siglip(pretrained: bool = False, **options: object) -> VisionTransformer:
    """A SigLIP trunk that is small enough for tests."""
    del pretrained, options["pretrained_cfg"], options["pretrained_cfg_overlay"], options["cache_dir"]
    trunk = VisionTransformer(
        img_size=64, patch_size=8, embed_dim=48, depth=LAST, num_heads=4, class_token=False, **options
    )
    trunk.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return trunk


CONFIG = {
    "embed_dim": 48,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 64, "timm_model_name": "vit_zsad_tiny_siglip", "timm_pool": "map", "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": CONTEXT, "vocab_size": VOCABULARY, "hf_tokenizer_name": "nobody/no-such-tokenizer",
        "tokenizer_kwargs": {"clean": "canonicalize"}, "width": 48, "heads": 4, "layers": 3,
        "no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    },
}  # fmt: skip


def letters(texts: Sequence[str]) -> Tensor:
    """Token ids by hand, padded with 1."""
    ids = torch.ones(len(texts), CONTEXT, dtype=torch.long)
    for row, text in zip(ids, texts, strict=True):
        codes = [ord(letter) % VOCABULARY for letter in text[:CONTEXT]]
        row[: len(codes)] = torch.tensor(codes)
    return ids


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("siglip") / "tiny-siglip.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    found = open_clip.CustomTextCLIP(
        **{key: copy.deepcopy(value) for key, value in CONFIG.items() if key != "custom_text"}
    ).eval()
    with torch.no_grad():
        for parameter in found.parameters():  # biases and norms as well, which start as zeros and ones
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return found


@pytest.fixture(scope="module")
def backbone(module: nn.Module, config: Path) -> ClipBackbone:
    name = BackboneName(f"{config}@random:0", str(config), seed=0)
    card = BackboneCard("tiny", "nothing")
    return from_open_clip(module, name, card, torch.device("cpu"), torch.float32, tokenizer=letters)


@pytest.fixture
def tower(backbone: ClipBackbone) -> VisionTower:
    return backbone.vision_tower()


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def read(tower: VisionTower, images: Tensor, *requests: TokenRequest, **options: object) -> list[Tensor]:
    (output,) = tower(images, [VisionRequest(requests)], **options)
    assert all(entry.class_token is None for entry in output.token_sets)
    return [entry.tokens for entry in output.token_sets]


def test_image_feature_and_taps_are_open_clip_s(
    tower: VisionTower, module: nn.Module, images: Tensor
) -> None:
    blocks = [(block, stage) for block in (1, LAST) for stage in ("raw", "ln_post")]
    requests = tuple(TokenRequest(f"{block}.{stage}", block, stage=stage) for block, stage in blocks)
    (output,) = tower(images, [VisionRequest(requests)])
    torch.testing.assert_close(output.image_feature, module.encode_image(images), **CLOSE)
    for (block, stage), mine in zip(blocks, output.token_sets, strict=True):
        (theirs,) = module.visual.forward_intermediates(
            images, [block - 1], normalize_intermediates=stage == "ln_post", output_fmt="NLC"
        )["image_intermediates"]
        torch.testing.assert_close(mine.tokens, theirs, **CLOSE)
    assert (tower.width, tower.embed_dim, tower.native_image_size) == (48, 48, 64)


def test_another_image_size_is_timm_s(tower: VisionTower, module: nn.Module) -> None:
    images = torch.randn(1, 3, 96, 96)
    resized = copy.deepcopy(module)
    resized.visual.trunk.set_input_size((96, 96))
    (output,) = tower(images, [VisionRequest()])
    torch.testing.assert_close(output.image_feature, resized.encode_image(images), **CLOSE)


def test_a_joint_token_is_what_the_pool_finds_in_it_alone(
    tower: VisionTower, module: nn.Module, images: Tensor
) -> None:
    normed, joint = read(tower, images, TokenRequest("n", 3, stage="ln_post"), TokenRequest("j", 3))
    alone = [module.visual.trunk.attn_pool(normed[:, [place]]) for place in range(64)]
    torch.testing.assert_close(joint, torch.stack(alone, dim=1), **CLOSE)


def test_text_features_are_open_clip_s(backbone: ClipBackbone, module: nn.Module) -> None:
    text, ids = backbone.text_tower(), letters(["a", "a photo of a damaged nut", ""])
    assert text is not None
    assert text.profile.activation == "gelu_tanh" and backbone.native_profile.activation == "gelu"
    mine = text(text.embed(ids), text.end_positions(ids))
    torch.testing.assert_close(mine, module.encode_text(ids), **CLOSE)
    exact = backbone.text_tower(text.profile.model_copy(update={"activation": "gelu"}))
    assert exact is not None
    assert (exact(exact.embed(ids), exact.end_positions(ids)) - mine).abs().max() > 1e-5


def test_activations_are_told_apart() -> None:
    found = [activation_of(module) for module in (nn.GELU(), nn.GELU("tanh"), GELUTanh())]
    assert found == ["gelu", "gelu_tanh", "gelu_tanh"]
    with pytest.raises(InputError, match="activation SiLU"):
        activation_of(nn.SiLU())


def test_streams_have_patches_only(tower: VisionTower, images: Tensor) -> None:
    term = SelfAttention(("vv",))
    streams = [
        Stream(2, term),
        Stream(2, term, cumulative=False),
        Stream(2, term, cumulative=False, class_token=False),
    ]
    found = read(tower, images, *(TokenRequest(str(i), 3, s, stage="raw") for i, s in enumerate(streams)))
    x = tower.patch_embedding(images).flatten(2).transpose(1, 2) + tower.position_embedding
    x = tower.blocks[0](x)
    total = x
    for block in tower.blocks[1:3]:
        state = BlockRun(block, x, Grid(8, 8), {}, tower.counts)
        added = state.project(state.attend("vv"))
        total, x = total + added, state.output
    for mine, expected in zip(found, [total, added, added], strict=True):
        torch.testing.assert_close(mine, expected, **CLOSE)


def test_injected_tokens_take_part_and_are_not_read(tower: VisionTower, images: Tensor) -> None:
    request = VisionRequest((TokenRequest("t", LAST, stage="ln_post"),))
    (output,) = tower(images, [request], injection=Injection(torch.randn(2, 1, 3, 48)))
    (plain,) = tower(images, [request])
    assert output.token_sets[0].tokens.shape == (2, 64, 48)
    assert (output.image_feature - plain.image_feature).abs().max() > 1e-4
    assert tower.pool is not None
    torch.testing.assert_close(output.image_feature, tower.pool(output.token_sets[0].tokens), **CLOSE)


def test_what_only_a_class_token_can_give_is_refused(tower: VisionTower, images: Tensor) -> None:
    with pytest.raises(InputError, match="no class token to read windows"):
        tower(images, [VisionRequest(windows=(WindowRequest("w", 2),))])
    with pytest.raises(InputError, match=r"no class token .*cls_ln_post=true"):
        tower(images, [VisionRequest(cls_ln_post=False)])


def test_module_stays_untouched_and_weights_are_shared(backbone: ClipBackbone, module: nn.Module) -> None:
    assert backbone.sha256 == state_digest(module.state_dict())
    tower, trunk = backbone.vision_tower(), module.visual.trunk
    assert tower.pool is not None
    pairs = [
        (tower.blocks[0].q_proj.weight, trunk.blocks[0].attn.qkv.weight),
        (tower.blocks[0].v_proj.weight, trunk.blocks[0].attn.qkv.weight[96:]),
        (tower.pool.v_proj.weight, trunk.attn_pool.kv.weight[48:]),
        (tower.pool.latent, trunk.attn_pool.latent),
        (tower.position_embedding, trunk.pos_embed),
        (tower.patch_embedding.weight, trunk.patch_embed.proj.weight),
    ]
    for mine, theirs in pairs:
        assert mine.data_ptr() == theirs.data_ptr()
    assert tower.blocks[0].ln_1.eps == tower.pool.norm.eps == 1e-6


@pytest.mark.parametrize("method", ["clip-baseline", "clip-baseline@vv", "aprilgan", "musc"])
def test_methods_that_need_no_class_token_run(backbone: ClipBackbone, method: str) -> None:
    detector = load_detector(method, backbone=backbone, untrained=True)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 70, 80, 3), dtype=np.uint8)
    prediction = detector.predict(list(pictures), class_name="nut")
    assert prediction.anomaly_map.shape == (3, 64, 64)
    assert torch.isfinite(prediction.anomaly_map).all() and torch.isfinite(prediction.score).all()


@pytest.mark.parametrize(
    ("method", "word"),
    [
        ("winclip", "cls_token"),
        ("adaclip", "cls_token"),
        ("filo", "cls_token"),
        ("crane-plus@stem", "cls_token"),
        ("anomalyclip", "causal_text"),
        ("crane", "causal_text"),
        ("cops", "causal_text"),
    ],
)
def test_the_others_name_what_is_missing(backbone: ClipBackbone, method: str, word: str) -> None:
    with pytest.raises(InputError, match=f"requires '{word}', which neither the backbone nor"):
        load_detector(method, backbone=backbone, untrained=True)


def test_files_random_weights_and_normalisation(module: nn.Module, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(module.state_dict(), path)
    loaded, random = (load_backbone(f"{config}@{what}", "cpu", "float32") for what in (path, "random:0"))
    assert loaded.sha256 == state_digest(module.state_dict()) != random.sha256
    assert loaded.mean == loaded.std == (0.5, 0.5, 0.5)
    assert loaded.capabilities == random.capabilities == {"streams", "text"}


def test_a_tokenizer_that_is_out_of_reach_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    detector = load_detector("clip-baseline", backbone=f"{config}@random:0", device="cpu")
    with pytest.raises(ZsadError, match=r"tokenizer nobody/no-such-tokenizer .* beside the weights"):
        detector.predict([np.zeros((64, 64, 3), np.uint8)])


@pytest.mark.parametrize("place", ["beside the weights", "named by the config"])
def test_a_tokenizer_of_local_files(module: nn.Module, tmp_path: Path, place: str) -> None:
    words = {"<pad>": 0, "<unk>": 1, "damaged": 2, "nut": 3}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path if place == "beside the weights" else tmp_path / "words"
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", pad_token="<pad>", padding_side="right"
    ).save_pretrained(folder)
    text = {**CONFIG["text_cfg"], **({"hf_tokenizer_name": "words"} if folder != tmp_path else {})}
    (tmp_path / "tiny.json").write_text(json.dumps({**CONFIG, "text_cfg": text}))
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    backbone = load_backbone(f"{tmp_path}/tiny.json@{tmp_path}/weights.safetensors", "cpu", "float32")
    tower = backbone.text_tower()
    assert tower is not None
    assert tower.tokenize(["Damaged nut!"]).tolist() == [[2, 3] + [0] * (CONTEXT - 2)]


def test_the_real_architecture() -> None:
    backbone = load_backbone("ViT-B-16-SigLIP@random:0", "cpu", "float32")
    tower = backbone.vision_tower()
    assert backbone.capabilities == {"streams", "text"} and backbone.mean == (0.5, 0.5, 0.5)
    assert (tower.depth, tower.width, tower.embed_dim, tower.native_image_size) == (12, 768, 768, 224)
    assert backbone.native_text_profile is not None and backbone.native_text_profile.context_length == 64


def test_tokens_cannot_enter_where_there_is_no_class_token(tower: VisionTower, images: Tensor) -> None:
    injection = Injection(torch.zeros(1, 1, 2, 48), as_class=True)
    with pytest.raises(InputError, match="no class token whose place injected tokens could take"):
        tower(images, [VisionRequest()], injection=injection)
