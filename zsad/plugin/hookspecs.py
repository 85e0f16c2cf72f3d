"""The hooks that a plugin implements to extend zsad.

A plugin is a module, named by an entry point of the group ``zsad``:

.. code-block:: toml

    [project.entry-points.zsad]
    invert = "zsad_invert"

It declares ``zsad_api = 1`` and implements any of these hooks with ``@hookimpl``. A hook is called once,
when somebody first asks what there is, and yields frozen descriptions whose callables are import strings:
the plugin module itself imports neither torch nor the modules that these strings name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from zsad.plugin.specs import (
        BackboneSpec,
        CommandSpec,
        DatasetSpec,
        DemoTabSpec,
        GeneratorSpec,
        LossSpec,
        MetricSpec,
        PartSpec,
        RecipeSpec,
        ReporterSpec,
    )

hookspec = HookspecMarker("zsad")
hookimpl = HookimplMarker("zsad")
"""Marks a function of a plugin module as the implementation of the hook that bears its name."""


@hookspec
def zsad_backbones() -> Iterable[BackboneSpec]:
    """Contribute backbones with names of their own.

    Called when a backbone is asked for by name, and by ``zsad backbones``. Models that open_clip knows need
    no plugin. Yield one ``BackboneSpec`` for each backbone; its factory loads the weights.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import BackboneSpec

            zsad_api = 1


            @hookimpl
            def zsad_backbones():
                yield BackboneSpec(
                    name="tiny",
                    factory="acme_vision.tiny:load",
                    summary="Three blocks, trained on fabric; for smoke tests.",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_parts() -> Iterable[PartSpec]:
    """Contribute swappable parts of methods.

    Called when a recipe is resolved, and by ``zsad parts``. Yield one ``PartSpec`` for each part, named
    ``<plugin>.<part>`` in lower case. ``requires`` and ``provides`` decide, before any weight is loaded,
    whether the part fits the backbone and the parts before it.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import PartSpec

            zsad_api = 1


            @hookimpl
            def zsad_parts():
                yield PartSpec(
                    name="acme.sharpen",
                    kind="post_processors",
                    factory="acme_vision.sharpen:build",
                    options="acme_vision.options:SharpenOptions",
                    requires={"anomaly_map"},
                    summary="Sharpens the anomaly map along the edges of the image.",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_recipes() -> Iterable[RecipeSpec]:
    """Contribute methods.

    Called when a method is asked for by name, and by ``zsad methods``. Yield one ``RecipeSpec`` for each
    method; its YAML file chooses the parts and their options. A converter turns the authors' published
    checkpoint into the method's weights.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import RecipeSpec

            zsad_api = 1


            @hookimpl
            def zsad_recipes():
                yield RecipeSpec(
                    name="acme",
                    resource="acme_vision:recipe.yaml",
                    converter="acme_vision.convert:convert",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_datasets() -> Iterable[DatasetSpec]:
    """Contribute dataset layouts.

    Called when a dataset is read, and by ``zsad datasets``. Yield one ``DatasetSpec`` for each layout; its
    name is the word before ``=`` in ``--data acme=PATH``.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import DatasetSpec

            zsad_api = 1


            @hookimpl
            def zsad_datasets():
                yield DatasetSpec(
                    name="acme",
                    reader="acme_vision.dataset:read",
                    summary="Folders as the Acme line camera writes them.",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_metrics() -> Iterable[MetricSpec]:
    """Contribute metrics.

    Called when an evaluation is planned, and by ``zsad metrics``. Yield one ``MetricSpec`` for each metric;
    its name becomes a column of ``summary.csv``, and its state can be merged across shards.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import MetricSpec

            zsad_api = 1


            @hookimpl
            def zsad_metrics():
                yield MetricSpec(
                    name="pixel_iou_max",
                    factory="acme_vision.metrics:build_iou",
                    summary="Largest intersection over union at any threshold.",
                    uses_test_labels=True,
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_losses() -> Iterable[LossSpec]:
    """Contribute losses for training.

    Called when a method is trained whose recipe names a loss, and by ``zsad losses``. Yield one ``LossSpec``
    for each loss; its function gets a ``zsad.training.step.Step`` (features, text, scores, masks) and the
    validated options.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import LossSpec

            zsad_api = 1


            @hookimpl
            def zsad_losses():
                yield LossSpec(
                    name="acme-margin",
                    function="acme_vision.losses:margin",
                    options="acme_vision.options:MarginOptions",
                    summary="Keeps the largest normal score below the mean anomalous one.",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_generators() -> Iterable[GeneratorSpec]:
    """Contribute generators of synthetic anomalies.

    Called when training on normal images asks for a generator (``zsad train --generator``). Yield one
    ``GeneratorSpec`` for each generator.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import GeneratorSpec

            zsad_api = 1


            @hookimpl
            def zsad_generators():
                yield GeneratorSpec(
                    name="scratches",
                    factory="acme_vision.scratches:build",
                    options="acme_vision.options:ScratchOptions",
                    summary="Thin bright scratches at random angles.",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_reporters() -> Iterable[ReporterSpec]:
    """Contribute renderings of a finished evaluation.

    Called by ``zsad report``. Yield one ``ReporterSpec`` for each format; its function reads the folder of a
    run and writes a file into it.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import ReporterSpec

            zsad_api = 1


            @hookimpl
            def zsad_reporters():
                yield ReporterSpec(
                    name="latex",
                    render="acme_vision.latex:render",
                    summary="The summary as a LaTeX table.",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_commands() -> Iterable[CommandSpec]:
    """Contribute command groups to ``zsad``.

    Called by ``zsad --help``, and where the first word after ``zsad`` is not a built-in command. Yield one
    ``CommandSpec`` for each group. Name and help are shown without importing anything; the
    ``typer.Typer`` (or plain function) behind ``app`` is imported when the command runs.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import CommandSpec

            zsad_api = 1


            @hookimpl
            def zsad_commands():
                yield CommandSpec(
                    name="camera",
                    help="Grab images from an Acme line camera.",
                    app="acme_vision.camera:app",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError


@hookspec
def zsad_demo_tabs() -> Iterable[DemoTabSpec]:
    """Contribute tabs to the demo.

    Called by ``zsad demo`` while the app is built. Yield one ``DemoTabSpec`` for each tab; its function is
    called in a Gradio context of its own with a ``zsad_demo.tabs.plugins.TabContext``, which has the engine
    that answers questions about images and the evaluations that ``--runs`` names.

    Example:
        .. code-block:: python

            from zsad.plugin.hookspecs import hookimpl
            from zsad.plugin.specs import DemoTabSpec

            zsad_api = 1


            @hookimpl
            def zsad_demo_tabs():
                yield DemoTabSpec(
                    name="Camera",
                    help="Live images from an Acme line camera.",
                    build="acme_vision.tab:build",
                )

    .. versionadded:: 0.1
    """
    raise NotImplementedError
