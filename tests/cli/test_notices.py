"""Quiet, verbose, a log file; warnings in words; standard output that holds one JSON value."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings

import pytest
from PIL import Image

from zsad.cli.notices import notices, present
from zsad.cli.output import ProgressLine, duration, print_json, print_message, told_apart
from zsad.errors import InputError, ZsadWarning

WORDS = ("predict", "--method", "clip-baseline", "--class-name", "part")


def test_quiet_leaves_results_and_errors(zsad, tiny, photo, tmp_path):
    words = (*WORDS, photo, "--backbone", tiny, "--out", tmp_path / "o")
    answer = zsad(*words, "-q")
    assert (answer.code, answer.err) == (0, "") and "photo.png" in answer.out
    assert "clip-baseline on" in zsad(*words).err
    assert zsad("--quiet", *words, "--image-size", 100).sentence.startswith("error: ")


@pytest.mark.parametrize("place", ["before", "after", "equals"])
def test_a_log_file_gets_every_notice_with_its_time(zsad, tiny, photo, tmp_path, place):
    log = tmp_path / "log.txt"
    words = [*WORDS, photo, "--backbone", tiny, "--out", tmp_path / "o", "--quiet"]
    option = [f"--log-file={log}"] if place == "equals" else ["--log-file", log]
    answer = zsad(*([*option, *words] if place == "before" else [*words, *option]))
    assert (answer.code, answer.err) == (0, "")
    (line,) = log.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d clip-baseline on .*", line)
    assert zsad("methods", "info", "nothing", *option).code == 2
    assert re.search(r"^\S+ error: unknown method 'nothing'", log.read_text(), re.M)


def test_a_log_file_that_cannot_be_written_is_one_sentence(zsad, tmp_path):
    answer = zsad("methods", "--log-file", tmp_path)
    assert (answer.code, answer.sentence) == (
        2,
        f"error: --log-file {tmp_path} cannot be written: is a directory",
    )


def test_quiet_and_verbose_contradict_each_other(zsad):
    assert zsad("methods", "-q", "-v").sentence.startswith("error: --quiet and --verbose")


def test_verbose_shows_the_traceback(zsad):
    err = zsad("methods", "info", "nothing", "-v").err
    assert err.startswith("Traceback (most recent call last):")
    assert err.splitlines()[-1].startswith("error: unknown method 'nothing'")


@pytest.mark.parametrize("words", [["-h"], ["predict", "-h"], ["methods", "-h"], ["weights", "push", "-h"]])
def test_a_short_word_for_help(zsad, words):
    answer = zsad(*words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == zsad(*words[:-1], "--help").out


class OwnWarning(ZsadWarning):
    """A warning of ours."""


def test_warnings_are_sentences(capsys):
    with notices():
        for _ in range(2):
            warnings.warn("the lens is dirty", OwnWarning, stacklevel=1)
            warnings.warn("internal to a library", UserWarning, stacklevel=1)
            warnings.warn(
                "Image size (108000000 pixels) exceeds limit of 89478485 pixels, could be decompression bomb "
                "DOS attack.",
                Image.DecompressionBombWarning,
                stacklevel=1,
            )
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "warning: the lens is dirty",
        "warning: an image has 108000000 pixels, and decoding it takes three bytes for each",
    ]


def test_workers_beyond_the_cores_are_said_in_a_sentence(capsys):
    from torch.utils.data import DataLoader

    with notices():
        warnings.simplefilter("always")
        DataLoader([1], num_workers=500)
    assert capsys.readouterr().err.startswith("warning: --workers 500: this machine has cores for ")


def test_verbose_shows_what_libraries_warn_of_and_the_log_where(capsys, tmp_path):
    with notices() as said:
        said.write_log(str(tmp_path / "log"))
        warnings.warn("internal", UserWarning, stacklevel=1)
        assert capsys.readouterr().err == ""
        said.verbose = True
        warnings.warn("another", UserWarning, stacklevel=1)
        assert capsys.readouterr().err == "warning: another\n"
    first, second = (tmp_path / "log").read_text().splitlines()
    assert re.search(r"warning: internal \(.*test_notices\.py:\d+\)$", first)
    assert second.endswith("warning: another")


def test_everything_is_put_back():
    before, shows, out = present(), warnings.showwarning, sys.stdout
    with pytest.raises(InputError), notices() as said:
        said.keep_results_apart()
        assert sys.stdout is sys.stderr
        raise InputError("x")
    assert (present(), warnings.showwarning, sys.stdout) == (before, shows, out)


def test_json_stays_json_whatever_others_print(capsys):
    with notices() as said:
        said.keep_results_apart()
        print("a plugin talks")
        print_json({"a": 1})
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"a": 1}, "a plugin talks\n")


TALKING = """
print("imported")
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import PartSpec
zsad_api = 1

@hookimpl
def zsad_parts():
    print("asked")
    yield PartSpec("talk.invert", "post_processors", "talk:Talk", "talks")

class Talk:
    def __init__(self, options, context):
        print("built")
    def __call__(self, scores, features):
        print("called")
        return scores
"""


def test_a_plugin_that_prints_leaves_json_alone(zsad, site, tiny, photo, tmp_path):
    site.install("talk", {"talk.py": TALKING}, {"talk": "talk"})
    words = (*WORDS, photo, "--backbone", tiny, "--out", tmp_path / "o", "--json")
    answer = zsad(*words, "--set", "post_processors+=talk.invert")
    assert answer.code == 0, answer.err
    assert len(json.loads(answer.out)["images"]) == 1
    assert {"imported", "asked", "built", "called"} <= set(answer.err.splitlines())


KILL = """
import os, signal
from zsad.cli.main import main
from zsad.data import reading
def killed(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
reading.read_image = killed
main()
"""


def test_a_killed_worker_is_one_sentence(tiny, tmp_path):
    words = f"eval --method clip-baseline --backbone {tiny} --data samples --workers 1".split()
    done = subprocess.run(
        [sys.executable, "-c", KILL, *words, "--out", str(tmp_path / "o")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ZSAD_DEBUG": ""},
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "error: a process that decodes images was killed, most likely for want of memory; give fewer "
        "--workers or a smaller --batch-size"
    ]


def test_a_file_name_that_no_console_can_show_stops_nothing(tiny, photo, tmp_path):
    odd = os.fsencode(tmp_path) + b"/n\xe9.png"
    with open(odd, "wb") as file:
        file.write(photo.read_bytes())
    command = [sys.executable, "-m", "zsad", *WORDS, odd, "--backbone", tiny, "--out", str(tmp_path / "o")]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert b"n\\udce9.png" in done.stdout, done.stderr


def test_plain_progress_says_how_long_the_rest_takes(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("zsad.cli.output.time.monotonic", lambda: now[0])
    with ProgressLine(400, "images") as line:
        for done in (0, 100, 101, 300):
            line.show(done)
            now[0] += 30.0
        line.show(1, 9, "pairs")
    # 100 images in 30 s: 300 more take 90 s; 300 in 90 s: 100 more take 30 s.
    assert capsys.readouterr().err.splitlines() == [
        "100 of 400 images, about 90 s left",
        "101 of 400 images, about 3 min left",
        "300 of 400 images, about 30 s left",
        "1 of 9 pairs",
    ]
    with notices() as said, ProgressLine(4, "images") as line:
        said.quiet = True
        now[0] += 100.0
        line.show(2)
        line.note("on the way")
        print_message("error: still shown")
    assert capsys.readouterr().err == "error: still shown\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (5000, "83 min"), (12000, "3 h 20 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_scores_that_differ_look_different():
    assert told_apart([0.5, 0.25]) == ["0.5000", "0.2500"]
    assert told_apart([0.99999, 1.0, 1.0]) == ["0.99999", "1.00000", "1.00000"]
    assert told_apart([1.0, 1.0 - 2**-24]) == ["1.0000000", "0.9999999"]
    assert told_apart([1e-12, 2e-12]) == ["0.000000000", "0.000000000"]
