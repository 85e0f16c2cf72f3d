"""A detector: a recipe made runnable. Encode once, ask often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zsad.backbones.clip import ClipBackbone, state_digest
from zsad.backbones.joint_view import TowerJoint
from zsad.backbones.memory import available_memory, check_memory
from zsad.backbones.opaque import Tower
from zsad.backbones.precision import full_float32
from zsad.backbones.text import TextTower
from zsad.backbones.text_view import TowerText
from zsad.backbones.vision import VisionTower
from zsad.data.images import read_image
from zsad.data.nouns import noun_of
from zsad.data.preprocess import input_tensor, whole_image
from zsad.detect.building import build_part, check_owns_its_tensors
from zsad.detect.memories import EVERY_CLASS, Remembered
from zsad.detect.passes import Reading, encode_together
from zsad.detect.remember import references_of, remember
from zsad.detect.remembering import remembering
from zsad.detect.scope import Scope, check_finite
from zsad.detect.text_side import TextSide, without_text
from zsad.errors import InputError
from zsad.inputs import InputForm
from zsad.parts import Auxiliary, BuildContext, Injector, ReferenceStore
from zsad.plugin.specs import PartKind
from zsad.recipe.profiles import TowerProfile
from zsad.recipe.resolved import BackboneFacts, ResolvedPart, ResolvedRecipe
from zsad.streams import VisionRequest, tap_requests
from zsad.values import Conditioning, Features, Prediction, Sample, Scores
from zsad.weights.card import WeightsCard

if TYPE_CHECKING:
    from PIL import Image

    ImageLike = Sample | np.ndarray | Image.Image | str | Path


class EncodeKey(NamedTuple):
    """Methods that agree in these three are served by one pass."""

    backbone: str
    profile: TowerProfile
    image_size: int


class Detector(nn.Module):
    """A method on a backbone. Its module state holds the parts' parameters only.

    Attributes:
        backbone: The frozen towers.
        recipe: The resolved recipe.
        parts: The built parts that are modules, by their key: the kind, or ``kind:name`` in list places.
        cards: Card of the weights of each learned part.
        seed: Seed that untrained parts were initialised from.
        text_side: Prompts and text tower, or None for a method without text.
        reading: What the method brings to a pass and reads of it.
        store: What says which of references is remembered, or None for a method that takes none.
        memories: What is remembered of references, by class; see :meth:`remember`.
    """

    def __init__(self, backbone: ClipBackbone, recipe: ResolvedRecipe, *, seed: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.recipe = recipe
        self.seed = seed
        self.cards: dict[str, WeightsCard] = {}
        size = recipe.image_size
        check_memory(self.tower, size, size, available_memory(backbone.device))
        self.tower.check_image_size(size, recipe.profile.image_resize)
        text = None if recipe.text_profile is None else backbone.text_tower(recipe.text_profile)
        context = self._build_context(text)
        self._built: dict[PartKind, list[Any]] = {}
        self.parts = nn.ModuleDict()
        for part in recipe.parts:
            built = build_part(part, context)
            if isinstance(built, nn.Module):
                check_owns_its_tensors(part, built, backbone)
                self.parts[part.key] = built = built.to(backbone.device)
            self._built.setdefault(part.kind, []).append(built)
        self._adapter = self.part("feature_adapter")
        self._scorer = self.part("scorer")
        self.store: ReferenceStore[Any] | None = self.part("reference_store")
        self.memories: dict[str, Remembered] = {}
        learner = self.part("prompt_learner")
        self.text_side: TextSide | None = None
        if learner is not None and text is not None:
            self.text_side = TextSide(text, learner, self.part("prompt_conditioner"), self._scorer)
        self.reading: Reading = self._make_reading()
        self.eval()

    def part(self, kind: PartKind) -> Any:
        """Return the built part of a kind (the first of a list place), or None where there is none."""
        return self._built.get(kind, [None])[0]

    @property
    def tower(self) -> Tower:
        """The vision tower of this recipe's profile."""
        return self.backbone.vision_tower(self.recipe.profile)

    @property
    def encode_key(self) -> EncodeKey:
        """What decides whether another method can share this one's passes, in any process.

        Where the refiner changes the pass, it names the source: part, options and learned parameters.
        """
        profile, injector = self.recipe.profile, self.reading.injector
        if injector is not None:
            (part,) = self.recipe.of_kind("attention_refiner")
            state = injector.state_dict() if isinstance(injector, nn.Module) else {}
            source = f"{part.spec.name} {part.options!r} {state_digest(state)}"
            profile = profile.model_copy(update={"injected": source})
        return EncodeKey(self.backbone.sha256, profile, self.recipe.image_size)

    @property
    def uses_noun(self) -> bool:
        """Whether the object noun can change a result: prompts are made of it, or a side input reads it."""
        named = self.text_side is not None and not self.text_side.learner.class_agnostic
        return named or bool(self.auxiliary_parts())

    @property
    def trained(self) -> bool:
        """Whether learned weights, of parts or backbone, saw anomaly labels."""
        learned = any(card.origin != "none" for card in self.cards.values())
        return learned or self.backbone.card.saw_anomaly_labels

    @property
    def setting(self) -> str:
        """The three axes of the setting."""
        return self.recipe.setting(trained=self.trained)

    def _build_context(self, text: TextTower | None) -> BuildContext:
        tower, stage = self.tower, self.recipe.recipe.readout.stage
        return BuildContext(
            vision_width=tower.width,
            embed_dim=tower.embed_dim,
            depth=tower.depth,
            patch_size=tower.patch_size,
            image_size=self.recipe.image_size,
            taps=self.recipe.blocks,
            tap_widths=tower.tap_widths(self.recipe.blocks, stage),
            stage=stage,
            text_view=None if text is None else TowerText(text),
            device=self.backbone.device,
            seed=self.seed,
            joint_view=TowerJoint(tower) if isinstance(tower, VisionTower) else None,
            image_resize=self.recipe.profile.image_resize,
        )

    def _make_reading(self) -> Reading:
        recipe, backbone = self.recipe, self.backbone
        readout = recipe.recipe.readout
        refiner = self.part("attention_refiner") or VisionRequest(tap_requests(recipe.blocks, readout.stage))
        request = refiner if isinstance(refiner, VisionRequest) else refiner.request()
        request = replace(request, cls_ln_post=readout.cls_ln_post)
        self.tower.check_request(request)
        injector = refiner if isinstance(refiner, Injector) else None
        size, profile = recipe.image_size, recipe.profile
        return Reading(
            method=recipe.method,
            # Within a process one loaded backbone serves them all; hashing its weights can wait.
            shares=(id(backbone), profile, size, injector and id(injector)),
            tower=self.tower,
            form=InputForm(size, backbone.mean, backbone.std, profile.image_resize, profile.resize_order),
            request=request,
            auxiliary=tuple(
                (f"{part.spec.name} {part.options!r}", built) for part, built in self.auxiliary_parts()
            ),
            injector=injector,
        )

    def samples(
        self, images: Sequence[ImageLike], class_name: str | Sequence[str] = "object"
    ) -> list[Sample]:
        """Wrap images (arrays, PIL images, paths) with their class nouns; a sample keeps its own.

        Raises:
            InputError: An image cannot be read, or the class nouns do not match the images in number.
        """
        names = _class_names(class_name, len(images))
        return [_sample(image, name) for image, name in zip(images, names, strict=True)]

    def tensor(self, samples: Sequence[Sample]) -> Tensor:
        """Return the vision tower's input, [B, 3, H, W] on its device.

        Raises:
            InputError: The images differ in their size.
        """
        return input_tensor(samples, self.reading.form, self.tower.patch_size).to(self.backbone.device)

    def encode(self, images: Sequence[ImageLike], class_name: str | Sequence[str] = "object") -> Features:
        """Run the vision side: one pass, and a plain one before it where the refiner needs it.

        Args:
            images: Arrays (RGB uint8 [H, W, 3]), PIL images, paths or samples.
            class_name: Object noun of all images, or one per image.

        Raises:
            InputError: An image cannot be read, or the images cannot share a batch.
        """
        return encode_together([self], self.samples(images, class_name))[0]

    def auxiliary_parts(self) -> list[tuple[ResolvedPart, Auxiliary]]:
        """Return the auxiliary parts with what they were resolved from."""
        return list(zip(self.recipe.of_kind("auxiliary"), self._built.get("auxiliary", []), strict=True))

    @full_float32()
    def adapt(self, features: Features) -> Features:
        """Apply the feature adapter, where the method has one."""
        adapted: Features = features if self._adapter is None else self._adapter(features)
        return adapted

    @full_float32()
    def condition(self, adapted: Features) -> Conditioning:
        """Return the text side of a batch; it holds no states for a method without text."""
        return without_text(adapted) if self.text_side is None else self.text_side(adapted)

    def remember(
        self,
        images: Sequence[ImageLike],
        class_name: str | None = None,
        *,
        abnormal: Sequence[ImageLike] = (),
        masks: Sequence[np.ndarray] = (),
        batch_size: int = 8,
    ) -> Remembered:
        """Remember reference images of a class, in the place of those that were remembered of it.

        They are encoded as any image is. Nobody checks here that they are not scored too: an image that is
        compared with itself looks normal, whatever it shows.

        Args:
            images: Normal references: arrays (RGB uint8 [H, W, 3]), PIL images, paths or samples.
            class_name: The class, or None for references that stand for every class.
            abnormal: Abnormal references, for a method that needs them.
            masks: For each of them, [H, W] bool at its size.
            batch_size: Images per pass.

        Returns:
            What is now in ``memories``.

        Raises:
            InputError: The method takes no references or lacks some, an image cannot be read, or a mask does
                not fit.
        """
        named = "object" if class_name is None else class_name
        references = [
            *references_of(self.samples(images, named)),
            *references_of(self.samples(abnormal, named), masks),
        ]
        (found,) = remember([self], references, batch_size)
        self.memories[EVERY_CLASS if class_name is None else class_name] = found
        return found

    def scope(self, memories: Mapping[str, Remembered] | None = None) -> Scope:
        """Start a scope, over whose classes two-phase parts look.

        Args:
            memories: What is remembered of references, by class; by default ``memories``.
        """
        scorer = self._scorer
        if self.store is not None:
            own = self.memories if memories is None else memories
            scorer = remembering(scorer, own, self.recipe.method)
        return Scope(scorer, self._built.get("post_processors", []))

    @torch.no_grad()
    @full_float32()
    def add(self, scope: Scope, features: Features) -> Prediction | None:
        """Score a batch within a scope; None where the answer waits for the scope's end.

        Raises:
            ZsadError: The method gave a score that is no number.
        """
        adapted = self.adapt(features)
        return self._checked(scope.add(adapted, self.condition(adapted)))

    @torch.no_grad()
    @full_float32()
    def finish(self, scope: Scope) -> Prediction | None:
        """Return the answers that waited for the scope's end, or None where none did.

        Raises:
            ZsadError: The method gave a score that is no number.
        """
        return self._checked(scope.finish())

    def _checked(self, prediction: Prediction | None) -> Prediction | None:
        if prediction is None:
            return None
        check_finite(prediction, self.recipe)
        maps = whole_image(prediction.anomaly_map, self.recipe.profile.image_resize)
        return replace(prediction, anomaly_map=maps)

    @torch.no_grad()
    def score(self, features: Features, class_name: str | Sequence[str] | None = None) -> Prediction:
        """Score encoded images; for two-phase methods they are whole classes.

        Args:
            features: From :meth:`encode`.
            class_name: Another object noun for all images, or one per image. Side inputs stay those of
                the noun that the images were encoded with.

        Raises:
            InputError: The class nouns do not match the images in number.
        """
        if class_name is not None:
            features = replace(features, class_names=tuple(_class_names(class_name, len(features))))
        scope = self.scope()
        prediction = self.add(scope, features)
        if prediction is None:
            prediction = self.finish(scope)
        assert prediction is not None
        return prediction

    @torch.no_grad()
    @full_float32()
    def stages(self, features: Features) -> list[tuple[str, Scores]]:
        """Return the scores after the scorer and after each post-processor, by part name.

        Two-phase parts take these images as their scope.
        """
        adapted = self.adapt(features)
        parts = [*self.recipe.of_kind("scorer"), *self.recipe.of_kind("post_processors")]
        steps = self.scope().steps(adapted, self.condition(adapted))
        return [(part.spec.name, scores) for part, scores in zip(parts, steps, strict=True)]

    def predict(self, images: Sequence[ImageLike], class_name: str | Sequence[str] = "object") -> Prediction:
        """Encode and score: ``score`` [B] and ``anomaly_map`` [B, H, W]."""
        return self.score(self.encode(images, class_name))


def _class_names(given: str | Sequence[str], count: int) -> list[str]:
    names = [noun_of(name) for name in ([given] * count if isinstance(given, str) else given)]
    if len(names) != count:
        raise InputError(f"{count} images were given with {len(names)} class names")
    if not all(name.strip() for name in names):
        raise InputError("a class name is empty; give the noun of the object, or 'object'")
    return names


def _sample(image: ImageLike, class_name: str) -> Sample:
    if isinstance(image, Sample):
        return image
    if isinstance(image, (str, Path)):
        return Sample(read_image(image), class_name, Path(image))
    array = image if isinstance(image, np.ndarray) else np.asarray(image.convert("RGB"))
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise InputError(
            f"an image array has to be RGB uint8 [H, W, 3], not {array.dtype} {list(array.shape)}"
        )
    return Sample(array, class_name)


def backbone_facts(backbone: ClipBackbone) -> BackboneFacts:
    """Return what a recipe has to know of a loaded backbone."""
    tower = backbone.vision_tower()
    return BackboneFacts(
        arch=backbone.arch,
        depth=tower.depth,
        image_size=tower.native_image_size,
        profile=backbone.native_profile,
        text_profile=backbone.native_text_profile,
        capabilities=backbone.capabilities,
    )
