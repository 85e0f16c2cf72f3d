"""How a method's parts are learned on an auxiliary dataset, as data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Momentum = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LossChoice(_Frozen):
    """A loss in the sum that is minimised.

    Attributes:
        weight: Its factor; 0 leaves it out.
        options: Its options, where they differ from its defaults.
    """

    weight: float = Field(default=1.0, ge=0)
    options: dict[str, Any] = {}


def _loss_value(value: object) -> object:
    return {"weight": value} if isinstance(value, (int, float)) else value


class Maps(_Frozen):
    """How scores of patches become the maps that losses compare with masks.

    Attributes:
        softmax: Whether probabilities are formed on the grid or after enlarging.
        upsample: How the grid is enlarged; ``bilinear_aligned`` aligns the corners.
    """

    softmax: Literal["before", "after"] = "before"
    upsample: Literal["nearest", "bilinear", "bilinear_aligned"] = "bilinear"


class Training(_Frozen):
    """One stage of training, and what differs in a stage that follows.

    The defaults are those of Zhou et al., ICLR 2024.

    Attributes:
        fill: The stage is one pass that fills the method's labelled memories, and descends no gradient; what
            is said of optimiser, losses and what learns has no meaning in it.
        epochs: Passes over the training set.
        batch_size: Images per step.
        optimiser: Adam, or AdamW with its decoupled weight decay.
        learning_rate: Of all parameters without a rate of their own.
        learning_rates: Rates of parameters whose name matches a pattern, for example
            ``feature_adapter.linear.*``; the first match decides.
        betas: Of the optimiser.
        weight_decay: Of the optimiser.
        schedule: ``constant``, or ``cosine`` from the rate down to 0 over the stage.
        halve_at: Steps of the stage after which the rate is halved, with a constant schedule.
        clip_norms: Largest norm of the gradient of each parameter whose name matches a pattern, as in
            ``learning_rates``.
        learn: Patterns of the parameters that change in this stage.
        maps: How scores become maps for the losses.
        losses: Weight, or weight and options, of every loss by its name
            (``zsad losses`` lists them).
        parts: Parts that are other ones while learning, as a recipe's ``parts`` writes them.
        mosaic: Share of the examples that are replaced by a mosaic of four.
        then: What differs in the next stage.
    """

    fill: bool = False
    epochs: int = Field(default=15, ge=1)
    batch_size: int = Field(default=8, ge=1)
    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: Rate = 1e-3
    learning_rates: dict[str, Rate] = {}
    betas: tuple[Momentum, Momentum] = (0.5, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    halve_at: tuple[Annotated[int, Field(ge=1)], ...] = ()
    clip_norms: dict[str, Rate] = {}
    learn: tuple[str, ...] = ("*",)
    maps: Maps = Maps()
    losses: dict[str, Annotated[LossChoice, BeforeValidator(_loss_value)]] = {
        "focal": LossChoice(weight=4), "dice": LossChoice(weight=4), "image": LossChoice()
    }  # fmt: skip
    parts: dict[str, Any] = {}
    mosaic: float = Field(default=0.0, ge=0, le=1)
    then: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _next_stage_is_one(self) -> Training:
        following = self.following  # raises the next stage's problem as this one's
        if following is not None and following.mosaic != self.mosaic:
            raise ValueError("all stages learn from the same examples: 'mosaic' cannot differ in 'then'")
        if self.halve_at and self.schedule != "constant":
            raise ValueError("'halve_at' goes with a constant schedule; leave one of the two out")
        return self

    @property
    def following(self) -> Training | None:
        """The next stage, complete; losses and parts are replaced where it names them, not merged."""
        if self.then is None:
            return None
        own = self.model_dump(exclude={"then"}, exclude_unset=True)
        return Training.model_validate(own | dict(self.then))

    @property
    def stages(self) -> tuple[Training, ...]:
        """All stages in their order."""
        return (self,) if self.following is None else (self, *self.following.stages)


def chosen_losses(losses: Mapping[str, LossChoice]) -> dict[str, LossChoice]:
    """Return the losses that count."""
    return {name: choice for name, choice in losses.items() if choice.weight}
