"""The command ``zsad``: its table of commands, its global options, its exit codes."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from zsad import __version__
from zsad.cli.groups import RootGroup
from zsad.cli.notices import notices, present
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import NO_PLUGINS
from zsad.plugin.imports import cause

COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": ("zsad.cli.quickstart:quickstart", "Try everything on example images, with no download."),
    "predict": ("zsad.cli.predict:predict", "Score images and show where they look wrong."),
    "remember": ("zsad.cli.remember:remember", "Keep what a few-shot method needs of reference images."),
    "calibrate": ("zsad.cli.calibrate:calibrate", "Compute thresholds from images of good parts."),
    "eval": ("zsad.cli.evaluate:evaluate", "Evaluate methods on datasets."),
    "report": ("zsad.cli.report:report", "Render a finished evaluation."),
    "train": ("zsad.cli.train:train", "Learn a method's weights on an auxiliary dataset."),
    "convert": ("zsad.cli.convert:convert", "Import an authors' checkpoint as safetensors."),
    "demo": ("zsad.cli.demo:demo", "Try methods on images in the browser."),
    "bench": ("zsad.cli.bench:app", "Measure speed and memory on this machine."),
    "doctor": ("zsad.cli.doctor:doctor", "Report what this machine and installation can do."),
    "methods": ("zsad.cli.methods:app", "List the methods, or show a recipe."),
    "backbones": ("zsad.cli.backbones:app", "List what methods can run on."),
    "datasets": ("zsad.cli.datasets:app", "List the dataset layouts, or check a dataset."),
    "metrics": ("zsad.cli.metrics:app", "List what an evaluation can measure."),
    "generators": ("zsad.cli.generators:app", "List what makes anomalies to learn from, or explain one."),
    "parts": ("zsad.cli.parts:app", "List the swappable parts of methods, or explain one."),
    "losses": ("zsad.cli.losses:app", "List what training can minimise, or explain one."),
    "weights": ("zsad.cli.weights:app", "List learned weights, or exchange them with a repository."),
    "plugins": ("zsad.cli.plugins:app", "List what extends zsad, or say why something does not."),
}
"""Import string of a ``typer.Typer`` or a function, and one sentence of help, by the word after ``zsad``."""


OUT_OF_MEMORY = (
    "the device is out of memory; give a smaller --batch-size or --image-size, or another --device"
)


class ZsadGroup(RootGroup):
    """The root of all commands."""

    table = COMMANDS


NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""As CUDA and MPS, Linux and Windows say it."""

WORKER_DIED = (
    "a process that decodes images was killed, most likely for want of memory; give fewer --workers or a "
    "smaller --batch-size"
)

ANYWHERE = ("-q", "--quiet", "-v", "--verbose", "--log-file")
"""Options of ``zsad`` itself that may stand after a built-in command too."""

app = typer.Typer(
    cls=ZsadGroup,
    add_completion=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"zsad {__version__}")
        raise typer.Exit


def _leave_plugins_out(ctx: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    former = os.environ.get(NO_PLUGINS)
    # In the environment, the processes that a command starts see it too.
    os.environ[NO_PLUGINS] = "1"
    ctx.call_on_close(lambda: _restore(former))


def _restore(former: str | None) -> None:
    if former is None:
        os.environ.pop(NO_PLUGINS, None)
    else:
        os.environ[NO_PLUGINS] = former


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    no_plugins: Annotated[
        bool,
        typer.Option(
            "--no-plugins",
            help="Leave out every plugin that does not come with zsad.",
            is_eager=True,
            callback=_leave_plugins_out,
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print results and errors, and nothing else.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Print what libraries warn of, and the traceback of an error."),
    ] = False,
    log_file: Annotated[
        str | None,
        typer.Option(
            "--log-file",
            metavar="FILE",
            help="Append every notice, with its time, to a file.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Zero-shot anomaly detection with vision-language models."""
    if quiet and verbose:
        raise InputError("--quiet and --verbose ask for opposite things; leave one of them out")
    said = present()
    said.quiet, said.verbose = quiet, verbose
    if log_file is not None:
        said.write_log(log_file)
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def main(argv: list[str] | None = None) -> None:
    """Run a command line, and leave with its exit code where that is not 0.

    Args:
        argv: The words after ``zsad``; by default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may be no text at all, and a console may lack their characters.
            stream.reconfigure(errors="backslashreplace")
    try:
        with notices():
            code = _run(_hoisted(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (``zsad methods | head``). At exit, Python would try to flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code:
        sys.exit(code)


def _hoisted(argv: list[str]) -> list[str]:
    """Put options of ``zsad`` itself that follow a built-in command before it."""
    place = 0
    while place < len(argv) and argv[place].startswith("-"):
        place += 2 if argv[place] == "--log-file" else 1
    first, rest = argv[:place], argv[place:]
    if not rest or rest[0] not in COMMANDS:  # a plugin's command may have options of these names
        return argv
    kept: list[str] = []
    while rest and rest[0] != "--":
        word = rest.pop(0)
        if word.partition("=")[0] not in ANYWHERE:
            kept.append(word)
            continue
        first.append(word)
        if word == "--log-file" and rest:
            first.append(rest.pop(0))
    return [*first, *kept, *rest]


def _run(argv: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        code: int | None = command.main(argv, prog_name="zsad", standalone_mode=False)
    except BrokenPipeError:
        raise
    except ZsadError as error:
        return _report(error, str(error), error.exit_code)
    except typer.TyperException as error:
        return _report(error, _sentence(error), error.exit_code)
    except KeyboardInterrupt:
        code = 130
    except typer.Abort as error:
        return _report(error, "aborted", 1)
    except Exception as error:
        if isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)
        ):
            return _report(error, OUT_OF_MEMORY, 1)
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):  # wherever it is noticed
            return _report(error, WORKER_DIED, 1)
        return _report(error, f"{cause(error)}; set ZSAD_DEBUG=1 for the traceback", 1)
    if code == 130:
        present().say("interrupted")
    return code or 0


def _sentence(error: typer.TyperException) -> str:
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return error.format_message()
    hint = f"see '{ctx.command_path} --help'"
    if (
        type(error).__name__ == "NoArgsIsHelpError"
    ):  # its message is the whole help, and typer hides the class
        return f"'{ctx.command_path}' needs a command or arguments ({hint})"
    return f"{error.format_message().rstrip('.')} ({hint})"


def _report(error: Exception, text: str, code: int) -> int:
    """Print one line on stderr, after the traceback where that is wanted, and return the exit code."""
    present().fail(error, text, debug=os.environ.get("ZSAD_DEBUG", "") not in ("", "0"))
    return code
