"""The images that come with zsad's plugins, for whoever wants to try something without data of their own."""

from __future__ import annotations

from zsad.data.dataset import Dataset, DatasetImage
from zsad.data.images import read_image
from zsad.data.spec import open_dataset
from zsad.errors import InputError
from zsad.plugin.host import Host
from zsad.values import Sample


def example_layout(host: Host) -> str:
    """Return the SPEC of the dataset that a plugin offers for trying things out.

    Raises:
        InputError: None does, or its plugin is disabled.
    """
    for name, claim in host.datasets.items():
        if claim.spec.example:
            return name
    raise InputError("no plugin offers images for trying things out; 'zsad plugins' says what is disabled")


def example_dataset(host: Host) -> Dataset:
    """Return the dataset that a plugin offers for trying things out.

    Raises:
        InputError: None does, or its plugin is disabled.
        ZsadError: It cannot be made or read.
    """
    return open_dataset(example_layout(host), host)


def example_images(host: Host, count: int) -> list[DatasetImage]:
    """Return images spread evenly over the example dataset; beyond its size they come again.

    Args:
        host: Whose dataset.
        count: How many.

    Raises:
        InputError: No plugin offers images.
    """
    images = example_dataset(host).images
    step = max(1, len(images) // count)
    return [images[place * step % len(images)] for place in range(count)]


def example_samples(host: Host, count: int) -> list[Sample]:
    """Return what :func:`example_images` does, read and with their nouns."""
    found = example_images(host, count)
    return [Sample(read_image(entry.image), entry.noun, entry.image) for entry in found]


def example_pair(host: Host) -> list[Sample]:
    """Return the first normal and the first anomalous image of the example dataset.

    Raises:
        InputError: No plugin offers images.
    """
    images = example_dataset(host).images
    pair = [next(entry for entry in images if entry.anomalous == state) for state in (False, True)]
    return [Sample(read_image(entry.image), entry.noun, entry.image) for entry in pair]
