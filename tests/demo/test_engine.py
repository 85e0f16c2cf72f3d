from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Site
from tests.loading import load_detector
from zsad.backbones.vision import VisionTower
from zsad.data.images import read_image
from zsad.errors import InputError
from zsad.plugin.host import get_host
from zsad_demo import engine as engine_module
from zsad_demo.answers import Question
from zsad_demo.engine import KEPT_DETECTORS, Engine, Group
from zsad_demo.words import Words

TINY = f"{Path(__file__).parents[1] / 'assets' / 'tiny-clip.json'}@random:"


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of images at every pass through any vision tower."""
    seen: list[int] = []
    forward = VisionTower.forward

    def counted(self: VisionTower, images: object, *args: object, **kwargs: object) -> object:
        seen.append(len(images))  # type: ignore[arg-type]
        return forward(self, images, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(VisionTower, "forward", counted)
    return seen


def question(engine: Engine, label: str, **options: object) -> Question:
    model = engine.models[label]
    return Question(model, model.image_size, **options)  # type: ignore[arg-type]


def test_answers_are_those_of_the_detector(engine: Engine, samples: list[Path]) -> None:
    image = read_image(samples[0])
    labels = ["clip-baseline", "anomalyclip", "winclip"]
    found = engine.ask([question(engine, label) for label in labels], image, "biscuit")
    for label, answer in zip(labels, found.answers, strict=True):
        wanted = load_detector(label, backbone="mini", device="cpu", dtype="float32").predict(
            [image], "biscuit"
        )
        assert answer.score == pytest.approx(float(wanted.score[0]), abs=1e-5)
        np.testing.assert_allclose(answer.anomaly_map, wanted.anomaly_map[0].numpy(), atol=1e-5)
        assert answer.info.setting == "auxiliary-trained / inductive / zero-shot"


def test_methods_that_agree_in_their_encode_key_share_a_pass(
    engine: Engine, samples: list[Path], passes: list[int]
) -> None:
    image = read_image(samples[0])
    before = engine.counts()
    questions = [question(engine, label) for label in ("clip-baseline", "clip-baseline@vv", "anomalyclip")]
    shared = engine.ask(questions, image, "biscuit")
    assert (shared.passes, shared.separate_passes, passes) == (1, 3, [1])
    other = Question(engine.models["winclip"], 192)
    assert (engine.ask([*questions, other], image, "biscuit").passes, passes) == (2, [1, 1, 1])
    assert engine.counts().passes - before.passes == 3


def test_a_second_image_loads_nothing_and_encodes_no_text(engine: Engine, samples: list[Path]) -> None:
    asked = [question(engine, "clip-baseline"), question(engine, "anomalyclip")]
    engine.ask(asked, read_image(samples[0]), "biscuit")
    before = engine.counts()
    engine.ask(asked, read_image(samples[30]), "biscuit")
    after = engine.counts()
    assert after == replace(before, passes=before.passes + 1)


def test_words_change_the_answer_and_only_of_methods_that_take_them(
    engine: Engine, samples: list[Path]
) -> None:
    image = read_image(samples[0])
    plain = question(engine, "clip-baseline")
    own = question(engine, "clip-baseline", words=Words(("a {}",), ("a broken {}",)))
    first, second = engine.ask([plain, own], image, "biscuit").answers
    assert abs(first.score - second.score) > 1e-3
    assert second.info.fidelity == "composed"
    with pytest.raises(InputError):
        engine.ask([question(engine, "anomalyclip", words=Words(("a {}",)))], image, "biscuit")


def test_an_image_size_that_does_not_fit_is_one_sentence(engine: Engine, samples: list[Path]) -> None:
    with pytest.raises(InputError, match="patch size"):
        engine.ask([Question(engine.models["winclip"], 241)], read_image(samples[0]), "biscuit")


def test_the_backbone_unused_for_longest_makes_way(samples: list[Path]) -> None:
    names = [f"{TINY}{seed}" for seed in range(3)]
    engine = Engine(names, device="cpu", dtype="float32", capacity=2)
    assert (engine.counts().loads, engine.counts().backbones) == (3, 2)
    image = read_image(samples[0])

    def ask(place: int) -> int:
        before = engine.counts().loads
        label = f"clip-baseline on {names[place]}"
        engine.ask([question(engine, label)], image, "biscuit")
        return engine.counts().loads - before

    assert [ask(place) for place in (1, 2, 1, 0, 1, 2)] == [0, 0, 0, 1, 0, 1]
    assert engine.counts().backbones == 2
    four = [question(engine, f"clip-baseline on {name}") for name in names]
    assert len({answer.score for answer in engine.ask(four, image, "biscuit").answers}) == 3
    assert engine.counts().backbones == 2


def test_detectors_and_nouns_are_bounded(samples: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "KEPT_NOUNS", 3)
    engine = Engine([f"{TINY}0"], device="cpu", dtype="float32")
    image = read_image(samples[0])
    for number in range(KEPT_DETECTORS + 5):
        engine.ask(
            [question(engine, "clip-baseline", words=Words((f"a {{}} {number}",), ("a bad {}",)))], image, "x"
        )
    assert engine.counts().detectors == KEPT_DETECTORS
    ready = engine._ready(question(engine, "clip-baseline"))
    for number in range(10):
        engine.ask([question(engine, "clip-baseline")], image, f"noun {number}")
        assert ready.detector.text_side is not None
        assert len(ready.detector.text_side._cache) <= 3


def grouped(paths: list[Path], size: int) -> list[Group]:
    """The images of a pass each."""
    images = [(path.name, read_image(path)) for path in paths]
    return [nullcontext(images[low : low + size]) for low in range(0, len(images), size)]


def test_images_judged_in_batches_are_those_judged_alone(
    engine: Engine, samples: list[Path], passes: list[int]
) -> None:
    chosen = samples[:5]
    found = dict[str, float]()
    groups = grouped(chosen, 2)
    for names, prediction in engine.judge(question(engine, "clip-baseline"), groups, "biscuit"):
        assert prediction is not None
        found |= dict(zip(names, prediction.score.tolist(), strict=True))
    assert passes == [2, 2, 1]
    for path in chosen:
        alone = engine.ask([question(engine, "clip-baseline")], read_image(path), "biscuit")
        assert found[path.name] == pytest.approx(alone.answers[0].score, abs=1e-5)


def test_images_that_keep_their_aspect_may_be_of_any_shape(
    site: Site, samples: list[Path], passes: list[int]
) -> None:
    plugin = """
        from zsad.plugin.hookspecs import hookimpl
        from zsad.plugin.specs import RecipeSpec

        zsad_api = 1

        @hookimpl
        def zsad_recipes():
            yield RecipeSpec("native-baseline", "native_aspect:baseline.yaml")
            yield RecipeSpec("native-musc", "native_aspect:musc.yaml")
    """
    recipes = {
        f"native_aspect/{name}.yaml": f"""
            extends: {of}
            name: native-{name}
            profile: {{image_resize: short-side}}
        """
        for name, of in {
            "baseline": "zsad_plugins.clip_baseline:recipe.yaml",
            "musc": "zsad_plugins.musc:recipe.yaml",
        }.items()
    }
    site.install(
        "native-aspect", {"native_aspect/__init__.py": plugin, **recipes}, {"native": "native_aspect"}
    )
    engine = Engine(device="cpu", dtype="float32", host=get_host())
    whole = read_image(samples[0])
    images = [whole[:200], whole, whole[:, :200], whole[:200]]
    group: Group = nullcontext([(f"{number}", image) for number, image in enumerate(images)])
    asked = question(engine, "native-baseline")
    steps = list(engine.judge(asked, [group], "biscuit"))
    assert [names for names, _ in steps] == [["0", "3"], ["1"], ["2"]] and passes == [2, 1, 1]
    for names, prediction in steps:
        assert prediction is not None
        for name, score, anomaly_map in zip(names, prediction.score, prediction.anomaly_map, strict=True):
            answer = engine.ask([asked], images[int(name)], "biscuit").answers[0]
            assert float(score) == pytest.approx(answer.score, abs=1e-5)
            np.testing.assert_allclose(anomaly_map.numpy(), answer.anomaly_map, atol=1e-5)
    assert steps[0][1].anomaly_map.shape == (2, 240, 384)
    with pytest.raises(InputError, match="takes them of one shape"):
        list(engine.judge(question(engine, "native-musc"), [group], "biscuit"))


def test_a_method_that_compares_images_answers_at_the_end(engine: Engine, samples: list[Path]) -> None:
    steps = list(engine.judge(question(engine, "musc"), grouped(samples[:4], 2), "biscuit"))
    assert [prediction is None for _, prediction in steps] == [True, True, False]
    assert steps[-1][0] == [path.name for path in samples[:4]]
    images = [read_image(path) for path in samples[:4]]
    wanted = load_detector("musc", backbone="mini", device="cpu", dtype="float32").predict(images, "biscuit")
    assert steps[-1][1] is not None
    np.testing.assert_allclose(steps[-1][1].score.numpy(), wanted.score.numpy(), atol=1e-4)


def test_threads_get_their_own_answers(engine: Engine, samples: list[Path]) -> None:
    chosen = [read_image(path) for path in samples[:6]]
    asked = question(engine, "clip-baseline")
    wanted = [engine.ask([asked], image, "biscuit").answers[0].score for image in chosen]
    found: dict[int, float] = {}

    def ask(place: int) -> None:
        for _ in range(3):
            found[place] = engine.ask([asked], chosen[place], "biscuit").answers[0].score

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(6)] == pytest.approx(wanted, abs=1e-6)


def test_an_unknown_label_is_refused_with_the_nearest(engine: Engine) -> None:
    with pytest.raises(InputError, match="did you mean 'winclip'"):
        engine.model("winclop")
    with pytest.raises(InputError, match="unknown method"):
        engine.model(["winclip"])
