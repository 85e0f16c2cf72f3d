from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad.recipe.overrides import apply_overrides
from zsad.recipe.profiles import Depth, Readout, TextProfile, TowerProfile
from zsad.recipe.recipes import recipe_dict, validate_recipe
from zsad.recipe.resolution import differs, resolve, resolve_recipe
from zsad.recipe.resolved import BackboneFacts, ResolvedRecipe
from zsad.recipe.settings import Settings


def facts(arch: str = "tiny", depth: int = 12, causal: bool = True) -> BackboneFacts:
    return BackboneFacts(
        arch=arch,
        depth=depth,
        image_size=224,
        profile=TowerProfile(activation="gelu", position_embedding="bicubic_antialias"),
        text_profile=TextProfile(activation="gelu", causal=causal),
        capabilities=frozenset({"cls_token", "streams", "text"} | ({"causal_text"} if causal else set())),
    )


def resolved(method: str, *overrides: str, **where: object) -> ResolvedRecipe:
    return resolve(get_host(), method, facts(**where), overrides=Settings.parse(overrides))  # type: ignore[arg-type]


def test_official_profile_only_where_published() -> None:
    there = resolved("anomalyclip", arch="ViT-L-14-336", depth=24)
    assert there.profile.position_embedding == "bilinear" and there.profile.activation == "quick_gelu"
    assert there.text_profile is not None and there.text_profile.deep_prompt_cast == "float16"
    assert there.image_size == 518 and there.blocks == (24,)
    elsewhere = resolved("anomalyclip")
    assert elsewhere.profile == facts().profile and elsewhere.image_size == 224
    insisted = resolved("anomalyclip", "profile=official", "profile.activation=gelu")
    assert insisted.profile.position_embedding == "bilinear" and insisted.profile.activation == "gelu"
    assert insisted.image_size == 224
    native = resolved("anomalyclip", "profile=native", arch="ViT-L-14-336")
    assert native.profile == facts().profile
    with pytest.raises(InputError, match="no official profile"):
        resolved("clip-baseline", "profile=official")


def test_the_resize_rule_is_a_field_of_the_profile() -> None:
    plain = resolved("clip-baseline")
    native = resolved("clip-baseline", "profile.image_resize=short-side")
    assert (plain.profile.image_resize, native.profile.image_resize) == ("squash", "short-side")
    assert native.hash != plain.hash
    assert native.profile.model_copy(update={"image_resize": "squash"}) == plain.profile
    with pytest.raises(InputError, match=r"profile\.image_resize.*'squash', 'short-side' or 'centre-crop'"):
        resolved("clip-baseline", "profile.image_resize=crop")


def test_a_method_may_have_been_published_with_images_that_keep_their_aspect() -> None:
    data = recipe_dict(get_host(), "anomalyclip")
    data["official"]["vision"]["image_resize"] = "short-side"
    recipe = validate_recipe(data, "anomalyclip")
    there, elsewhere = (
        resolve_recipe(get_host(), "anomalyclip", recipe, facts(arch, 24), composed=False)
        for arch in ("ViT-L-14-336", "tiny")
    )
    assert (there.profile.image_resize, elsewhere.profile.image_resize) == ("short-side", "squash")


def test_a_part_that_takes_squares_alone_says_so() -> None:
    assert resolved("visualad").profile.image_resize == "squash"
    with pytest.raises(
        InputError, match=r"'visualad.alignment' .*'square_input', .*; use --set profile.image_resize=squash"
    ):
        resolved("visualad", "profile.image_resize=short-side")


def test_hash_follows_what_decides_the_numbers() -> None:
    plain = resolved("clip-baseline")
    assert plain.hash == resolved("clip-baseline").hash and len(plain.hash) == 16
    others = [
        resolved("clip-baseline", "scorer.temperature=0.02"),
        resolved("clip-baseline", "readout.taps=[6]"),
        resolved("clip-baseline", "profile.activation=quick_gelu"),
        resolved("clip-baseline@vv"),
        resolved("winclip"),
    ]
    assert len({plain.hash, *(other.hash for other in others)}) == 6
    assert resolved("clip-baseline", "image_size=448").hash == plain.hash


def test_fidelity_and_setting() -> None:
    assert resolved("winclip").fidelity == "paper"
    assert resolved("winclip", "scorer.temperature=0.05").fidelity == "composed"
    assert resolved("winclip").setting(trained=False) == "training-free / inductive / zero-shot"
    assert resolved("anomalyclip").setting(trained=True).startswith("auxiliary-trained")


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("scorer.temperature=2", True),
        ("scorer.temperature=0.01", False),  # as it is
        ("post_processors.fuse.how=mean", False),  # a default that the recipe need not state
        ("post_processors.fuse.how=sum", True),
        ("post_processors-=gaussian", True),
        ("readout.stage=ln_post", True),
        ("profile.activation=gelu", False),
        ("image_size=99", False),
    ],
)
def test_only_parts_and_readout_make_a_composition(override: str, changed: bool) -> None:
    data = recipe_dict(get_host(), "clip-baseline")
    plain = validate_recipe(data, "m")
    other = validate_recipe(apply_overrides(data, Settings.parse([override])), "m")
    assert differs(get_host(), plain, other) is changed


def test_a_recipe_follows_its_backbone() -> None:
    here, elsewhere = resolved("crane-plus", arch="mini"), resolved("crane-plus")
    assert [part.spec.name for part in here.of_kind("auxiliary")] == ["crane.stem"]
    assert [part.spec.name for part in elsewhere.of_kind("auxiliary")] == ["crane.dinov2"]
    (refiner,) = here.of_kind("attention_refiner")
    assert refiner.options is not None and refiner.options.model_dump()["maps"] == "stem"
    assert (here.fidelity, elsewhere.fidelity) == ("inspired", "official-code")
    assert here.hash != elsewhere.hash


def test_overrides_apply_to_what_the_recipe_is_on_its_backbone() -> None:
    plain = resolved("crane-plus", arch="mini")
    same = resolved("crane-plus", "auxiliary.stem.centre=true", arch="mini")
    assert same.hash == plain.hash and same.fidelity == "inspired"
    other = resolved("crane-plus", "auxiliary.stem.centre=false", arch="mini")
    assert other.hash != plain.hash and other.fidelity == "composed"
    with pytest.raises(InputError, match=r"'dinov2' is not among the auxiliary.*crane\.stem"):
        resolved("crane-plus", "auxiliary.dinov2.model=x", arch="mini")


@pytest.mark.parametrize(
    ("method", "override", "part"),
    [
        ("clip-baseline", "scorer=winclip.anomaly", "'winclip.windows' (attention_refiner)"),
        ("clip-baseline", "prompt_learner=none", "'text_features'"),
        ("clip-baseline", "readout.stage=raw", "'tokens:joint'"),
        ("clip-baseline", "post_processors-=fuse", "'anomaly_map'"),
        ("clip-baseline", "scorer=standard.gaussian", "is a post_processors"),
        ("clip-baseline", "post_processors.gaussian.sigma=-1", "'sigma' cannot be -1"),
        ("clip-baseline", "readout.taps=[13]", "tower of 12 blocks"),
        ("winclip@caoyunkang", "post_processors-=map_maximum", "'image_score'"),
    ],
)
def test_refusals_name_the_cause(method: str, override: str, part: str) -> None:
    with pytest.raises(InputError) as refusal:
        resolved(method, override)
    assert part in str(refusal.value)


def test_methods_that_need_causal_text_refuse_others() -> None:
    with pytest.raises(InputError, match="'causal_text'"):
        resolved("anomalyclip", causal=False)


@given(st.integers(1, 48), st.integers(1, 16), st.integers(1, 16))
def test_depth_rounds_halves_up_within_the_tower(depth: int, numerator: int, denominator: int) -> None:
    numerator = min(numerator, denominator)
    block = Depth(fraction=f"{numerator}/{denominator}").resolve(depth)
    exact = numerator * depth / denominator
    assert 1 <= block <= depth
    assert abs(block - exact) <= 0.5 or (exact < 0.5 and block == 1)
    if exact % 1 == 0.5:
        assert block == int(exact) + 1


def test_absolute_depths_win_at_published_depths() -> None:
    readout = Readout.model_validate({"taps": [{"fraction": "1/4", "at": {24: 7}}, 5, "1/2", 0.75]})
    assert readout.blocks(24) == (7, 5, 12, 18)
    assert readout.blocks(12) == (3, 5, 6, 9)
