"""The pretended devices refuse what real ones refuse, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.devices.conftest import SECOND
from tests.devices.pretended import MixedDevices, device_of, pretended_devices

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _gpus(gpus: None) -> None:
    pass


def here() -> Tensor:
    return torch.arange(6.0).reshape(2, 3)


def there() -> Tensor:
    return here().to("cuda:1")


@pytest.mark.parametrize(
    "mix",
    [
        lambda: there() + here(),
        lambda: there() @ here().T,
        lambda: torch.cat([there(), here()]),
        lambda: torch.stack([there().sum(), here().sum()]),
        lambda: here()[torch.tensor([0], device=SECOND)],
        lambda: there().index_put((torch.tensor([0]),), here()[:1]),
        lambda: here().add_(there()),
        lambda: here().sum().add_(there().sum()),
        lambda: there().to("cuda:0") + there(),
        lambda: torch.where(there() > 1, there(), here()),
        lambda: nn.functional.conv2d(there()[None, None], torch.ones(1, 1, 2, 2)),
        lambda: torch.zeros(3, device="cuda") + torch.zeros(3, device="cuda:1"),
        lambda: torch.rand(2, device=SECOND, generator=torch.Generator()),
        lambda: there().normal_(generator=torch.Generator()),
        lambda: nn.Linear(3, 3).to(SECOND)(here()),
    ],
)
def test_what_mixes_is_refused(mix: Callable[[], Tensor]) -> None:
    with pytest.raises(MixedDevices):
        mix()


@pytest.mark.parametrize(
    "stay",
    [
        lambda: there() + torch.tensor(1.0),
        lambda: torch.tensor(1.0) * there(),
        lambda: torch.where(there() > 1, there(), torch.tensor(0.0)),
        lambda: there()[torch.tensor([1, 0])],
        lambda: there()[:, torch.tensor([True, False, True])],
        lambda: there().copy_(here()),
        lambda: torch.ones_like(there()),
        lambda: there().new_zeros(2),
        lambda: there().new_tensor([1.0]),
        lambda: torch.tensor([1.0], device=SECOND),
        lambda: torch.nn.functional.one_hot(torch.tensor([1], device=SECOND)),
        lambda: here().to(there()),
        lambda: there().half().float(),
        lambda: there()[0].view(3, 1).detach(),
        lambda: there().sort().indices,
        lambda: nn.Linear(3, 3).to(SECOND)(there()),
        lambda: nn.Linear(3, 3).to(device=SECOND, dtype=torch.float32)(there()),
        lambda: nn.Linear(3, 3, device=SECOND)(there()),
    ],
)
def test_what_stays_there_is_there(stay: Callable[[], Tensor]) -> None:
    found = stay()
    assert device_of(found) == found.device == SECOND
    assert found.is_cuda and not found.is_cpu


def test_the_way_there_and_back_keeps_values_and_gradients() -> None:
    own = here().requires_grad_()
    moved = own.to(SECOND, torch.float64)
    back = (moved * 2).cpu()
    assert (own.device, moved.device, back.device) == (CPU, SECOND, CPU)
    back.sum().backward()
    assert own.grad is not None and torch.equal(own.grad, torch.full((2, 3), 2.0))
    assert torch.equal(back, here().double() * 2)


def test_memory_of_the_device_cannot_be_read_as_an_array() -> None:
    assert here().numpy().sum() == there().cpu().numpy().sum() == 15
    with pytest.raises(TypeError, match="cuda:1"):
        there().numpy()
    with pytest.raises(TypeError, match="cuda:1"):
        __import__("numpy").asarray(there())


def test_kernels_of_the_backward_pass_are_seen() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            return gradient * torch.ones(2, 3)

    own = there().requires_grad_()
    with pytest.raises(MixedDevices):
        Wrong.apply(own).sum().backward()
    (own * 2).sum().backward()
    assert own.grad is not None and own.grad.device == SECOND


def test_it_ends_with_its_context() -> None:
    with pretended_devices():
        inner = there()
    assert inner.device == SECOND  # still within the fixture's own


def test_an_optimiser_steps_there() -> None:
    layer = nn.Linear(3, 1).to(SECOND)
    before = layer.weight.detach().clone()
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(there()).sum().backward()
    optimiser.step()
    assert layer.weight.device == SECOND and not torch.equal(layer.weight, before)
