from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import zsad
from zsad.cli.main import COMMANDS, main
from zsad.plugin.imports import load_object

COMMAND_PLUGIN = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import CommandSpec
zsad_api = 1

@hookimpl
def zsad_commands():
    yield CommandSpec("camera", "Grab images from a line [camera].", "acme_camera:app")
    yield CommandSpec("snap", "Take one picture.", "acme_camera:snap")
    yield CommandSpec("plugins", "Clashes with a built-in command.", "acme_camera:app")
    yield CommandSpec("gone", "Cannot be imported.", "acme_gone:app")
    yield CommandSpec("text", "Is no command.", "acme_camera:TEXT")
"""

CAMERA = """
import typer
print("camera imported")
app = typer.Typer(no_args_is_help=True)
TEXT = "text"

@app.command()
def grab(count: int = 1):
    print(f"grabbed {count}")
    return 7

@app.command()
def fail(how: str):
    from zsad.errors import InputError, ZsadError
    if how == "memory":
        import torch
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ...")
    errors = {
        "input": InputError("the lens\\n  cap is on"),
        "running": ZsadError("the camera is off"),
        "allocator": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to take 8 bytes"),
        "numpy": MemoryError("Unable to allocate 8.00 GiB for an array"),
        "unexpected": KeyError("lens"),
        "interrupt": KeyboardInterrupt(),
        "abort": typer.Abort(),
        "exit": typer.Exit(5),
        "system": SystemExit(6),
    }
    raise errors[how]

def snap(where: str):
    '''Take one picture, and keep it.'''
    print(f"snapped {where}")
"""


@pytest.fixture
def run(capsys):
    """Return a function that runs a command line and returns exit code, stdout and stderr."""

    def call(*argv):
        code = 0
        try:
            main(list(argv))
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def camera(site):
    site.install(
        "acme", {"acme_plugin.py": COMMAND_PLUGIN, "acme_camera.py": CAMERA}, {"acme": "acme_plugin"}
    )
    return site


def test_version(run):
    assert run("--version") == (0, f"zsad {zsad.__version__}\n", "")


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_help_lists_every_command(run, argv):
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert "--no-plugins" in out
    for name, (_, sentence) in COMMANDS.items():
        assert f"  {name} " in out
        assert sentence.split()[0] in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists(run, name):
    assert callable(load_object(COMMANDS[name][0]))
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"zsad {name}" in out


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["plugns"], "error: unknown command 'plugns'; did you mean 'plugins'?"),
        (["zzz"], "error: unknown command 'zzz'"),
        (
            ["plugins", "lst"],
            "error: No such command 'lst'. Did you mean 'list'? (see 'zsad plugins --help')",
        ),
        (["--frob"], "error: No such option: --frob (see 'zsad --help')"),
        (["plugins", "--frob"], "error: No such option: --frob (see 'zsad plugins list --help')"),
        (["plugins", "info"], "error: Missing argument 'name' (see 'zsad plugins info --help')"),
        (["plugins", "info", "qqq"], "error: unknown plugin 'qqq'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(run, argv, line):
    assert run(*argv) == (2, "", line + "\n")


def test_a_contributed_command_is_listed_without_being_imported(camera, run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert "camera imported" not in out
    assert "acme_camera" not in sys.modules
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "camera Grab images from a line [camera]." in lines
    assert "acme:plugins Clashes with a built-in command." in lines
    assert any(line.startswith("plugins List ") for line in lines)


def test_a_contributed_command_runs(camera, run):
    assert run("camera", "grab", "--count", "3") == (0, "camera imported\ngrabbed 3\n", "")
    assert run("acme:camera", "grab") == (0, "grabbed 1\n", "")
    assert run("acme:plugins", "grab") == (0, "grabbed 1\n", "")


def test_a_function_is_a_command_too(camera, run):
    assert run("snap", "here") == (0, "camera imported\nsnapped here\n", "")
    assert "Take one picture, and keep it." in run("snap", "--help")[1]


def test_a_nearest_contributed_command_is_suggested(camera, run):
    assert run("camra") == (2, "", "error: unknown command 'camra'; did you mean 'camera'?\n")


def test_a_command_of_two_distributions_names_both(camera, run):
    source = COMMAND_PLUGIN.split('    yield CommandSpec("snap"')[0]
    camera.install("beta", {"beta_plugin.py": source}, {"beta": "beta_plugin"})
    code, out, err = run("camera", "grab")
    assert (code, out) == (2, "")
    assert (
        err
        == "error: command 'camera' is claimed by 'acme' and 'beta'; write 'acme:camera' or 'beta:camera'\n"
    )
    assert run("beta:camera", "grab")[0] == 0


@pytest.mark.parametrize(
    ("argv", "code", "line"),
    [
        (
            ["gone"],
            1,
            "error: command 'gone' of 'acme': cannot import 'acme_gone:app': "
            "ModuleNotFoundError: No module named 'acme_gone'",
        ),
        (
            ["text"],
            1,
            "error: command 'text' of 'acme': 'acme_camera:TEXT' is neither a typer.Typer nor a function",
        ),
        (["camera", "fail", "input"], 2, "error: the lens cap is on"),
        (["camera", "fail", "running"], 1, "error: the camera is off"),
        (
            ["camera", "fail", "unexpected"],
            1,
            "error: KeyError: 'lens'; set ZSAD_DEBUG=1 for the traceback",
        ),
        (
            ["camera", "fail", "memory"],
            1,
            "error: the device is out of memory; give a smaller --batch-size or --image-size, or another "
            "--device",
        ),
        (
            ["camera", "fail", "allocator"],
            1,
            "error: the device is out of memory; give a smaller --batch-size or --image-size, or another "
            "--device",
        ),
        (
            ["camera", "fail", "numpy"],
            1,
            "error: the device is out of memory; give a smaller --batch-size or --image-size, or another "
            "--device",
        ),
        (["camera", "fail", "interrupt"], 130, "interrupted"),
        (["camera", "fail", "abort"], 1, "error: aborted"),
        (["camera"], 2, "error: 'zsad camera' needs a command or arguments (see 'zsad camera --help')"),
    ],
)
def test_a_failing_command_is_one_line(camera, run, monkeypatch, argv, code, line):
    monkeypatch.delenv("ZSAD_DEBUG", raising=False)
    got, _, err = run(*argv)
    assert (got, err) == (code, line + "\n")


@pytest.mark.parametrize(("how", "code"), [("exit", 5), ("system", 6)])
def test_a_command_may_choose_its_exit_code(camera, run, how, code):
    assert run("camera", "fail", how)[0] == code


def test_a_command_that_typer_cannot_read_is_one_line(camera, run):
    (camera.path / "acme_camera.py").write_text("def snap(where: 'Nowhere'): pass")
    code, _, err = run("snap", "x")
    assert code == 1
    assert err.startswith(
        "error: command 'snap' of 'acme': 'acme_camera:snap' is not a usable command: NameError"
    )
    assert err.count("\n") == 1


def test_debug_shows_the_traceback(camera, run, monkeypatch):
    monkeypatch.setenv("ZSAD_DEBUG", "1")
    code, _, err = run("camera", "fail", "running")
    assert code == 1
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("\nerror: the camera is off\n")


def test_no_plugins_leaves_contributed_commands_out(camera, run, monkeypatch):
    assert "camera" not in run("--no-plugins", "--help")[1]
    assert run("--no-plugins", "camera")[0] == 2
    assert "ZSAD_NO_PLUGINS" not in os.environ
    assert "camera" in run("--help")[1]
    monkeypatch.setenv("ZSAD_NO_PLUGINS", "0")
    assert run("--no-plugins", "camera")[0] == 2
    assert os.environ["ZSAD_NO_PLUGINS"] == "0"


def test_strict_plugins_are_one_line(site, run, monkeypatch):
    site.install("acme", {"acme_plugin.py": "raise OSError('no disk')"}, {"acme": "acme_plugin"})
    monkeypatch.setenv("ZSAD_STRICT_PLUGINS", "1")
    code, out, err = run("plugins")
    assert (code, out) == (1, "")
    assert err == "error: plugin 'acme:acme' is failed: cannot import 'acme_plugin': OSError: no disk\n"


CODE = "from zsad.cli.main import main; main()"


def shell(site, *argv, **variables):
    return subprocess.run(
        [sys.executable, "-c", CODE, *argv],
        env=site.environ(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


HEAVY = {"torch", "transformers", "gradio", "open_clip", "numpy", "PIL", "peft", "scipy", "pyarrow"}


@pytest.mark.parametrize("argv", [["--help"], ["plugins", "list"], ["plugins", "--json"], ["parts"]])
def test_listings_import_nothing_heavy(camera, zsad_invert, argv):
    code = f"import sys\n{CODE}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], env=camera.environ(), capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "zsad_invert" in loaded  # plugins were discovered
    assert not loaded & HEAVY
    assert "zsad_invert.part" not in done.stderr.split()


def test_a_closed_pipe_is_quiet(site):
    generator = (
        "    for n in range(40000):\n        yield MetricSpec(f'metric-{n}', 'a:b', 'A long summary ' * 9)"
    )
    source = (
        "from zsad.plugin.hookspecs import hookimpl\nfrom zsad.plugin.specs import MetricSpec\nzsad_api = 1\n"
    )
    source += f"@hookimpl\ndef zsad_metrics():\n{generator}\n"
    site.install("acme", {"acme_plugin.py": source}, {"acme": "acme_plugin"})
    command = [sys.executable, "-c", CODE, "plugins", "--json"]
    with subprocess.Popen(
        command, env=site.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "[\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


def test_a_signal_interrupts_a_running_command(camera):
    source = "import time, typer\napp = typer.Typer()\n@app.command()\ndef wait():\n"
    source += "    print('waiting', flush=True)\n    time.sleep(60)\n"
    (camera.path / "acme_camera.py").write_text(source)
    # A process started in the background of a shell inherits that interrupts are ignored.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    with subprocess.Popen(
        [sys.executable, "-c", heed + CODE, "camera", "wait"],
        env=camera.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "interrupted\n")
        assert process.returncode == 130


def test_completion_offers_commands_of_table_and_plugins(camera):
    done = shell(camera, _ZSAD_COMPLETE="complete_bash", COMP_WORDS="zsad p", COMP_CWORD="1")
    assert done.stdout.split() == [name for name in COMMANDS if name.startswith("p")]
    done = shell(camera, _ZSAD_COMPLETE="complete_bash", COMP_WORDS="zsad camera ", COMP_CWORD="2")
    assert {"grab", "fail"} <= set(done.stdout.split())
    done = shell(camera, _ZSAD_COMPLETE="complete_bash", COMP_WORDS="zsad plugins ", COMP_CWORD="2")
    assert done.stdout.split() == ["list", "info"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["parts", "list", "--kind", "scorer", "--kind=attention_refiner"],
         "warning: --kind is given 2 times; the last one, attention_refiner, counts\n"),
        (["parts", "list", "--json", "--json"], ""),
        (["parts", "list", "--kind", "scorer"], ""),
        (["-q", "parts", "list", "--kind", "scorer", "--kind", "scorer"], ""),
    ],
)  # fmt: skip
def test_the_last_value_of_an_option_counts_and_that_is_said(run, argv, said):
    code, out, err = run(*argv)
    assert (code, err) == (0, said) and out


def test_a_switch_that_is_turned_both_ways_is_said(run, tmp_path):
    words = ["predict", str(tmp_path), "--method", "winclip", "--method=nope", "--overlay", "--no-overlay"]
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[:2] == [
        "warning: --method is given 2 times; the last one, nope, counts",
        "warning: --overlay or --no-overlay is given 2 times; the last one counts",
    ]
    assert "unknown method 'nope'" in err.splitlines()[2]
