"""Hundreds of wrong commands, from tables: what is given, and what has to be said of it.

A row is ``(words, pattern)``; ``{missing}``, ``{folder}`` and other names in braces are the inputs that
:func:`make_inputs` draws. Exit code 2 is wrong input; a row with a third field has another one.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.evaluation.drawing import draw

PNG = b"\x89PNG\r\n\x1a\n"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234\n"
PAGE = "<!DOCTYPE html><html><body>Quota exceeded</body></html>"


class Case(NamedTuple):
    """A wrong command.

    Attributes:
        words: After ``zsad``.
        pattern: What the sentence has to say, as a regular expression.
        code: The exit code.
        recorded: Whether images were read, whose failures have a record.
    """

    words: tuple[str, ...]
    pattern: str
    code: int = 2
    recorded: bool = False

    @property
    def name(self) -> str:
        """The command, as the id of a test."""
        return " ".join(self.words).replace("\0", "NUL")


class _Bomb:
    """Would run code where a pickle is trusted."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.target, "w")


def make_inputs(root: Path) -> dict[str, str]:
    """Draw what the commands are given; return paths by name."""
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    photo = root / "photo.png"
    Image.fromarray(pixels).save(photo)
    whole = photo.read_bytes()
    texts = {
        "text.png": b"no image",
        "empty.png": b"",
        "short.png": whole[: len(whole) // 2],
        "huge.png": _png_header(200_000, 200_000) + whole[33:],
        "nothing.png": _png_header(0, 0) + whole[33:],
        "lfs.png": LFS.encode(),
        "page.png": PAGE.encode(),
        "text.pth": b"no weights",
        "empty.pth": b"",
        "lfs.pth": LFS.encode(),
        "page.pth": PAGE.encode(),
        "bomb.pth": pickle.dumps(_Bomb(str(root / "ran"))),
        "text.safetensors": b"no weights",
        "empty.safetensors": b"",
        "short.safetensors": struct.pack("<Q", 10_000) + b"{",
        "nobody.safetensors": struct.pack("<Q", 2) + b"{}",
        "config.json": b"{",
        "list.json": b"[1, 2]",
        "binary.txt": b"\xff\xfe\x00",
        "empty.txt": b"",
        "comment.txt": b"# nothing\n\n",
    }
    for name, content in texts.items():
        (root / name).write_bytes(content)
    tables = {
        "empty": "",
        "header": "image,mask,label,class_name\n",
        "columns": "picture,kind\nphoto.png,1\n",
        "label": "image,mask,label,class_name\nphoto.png,,maybe,part\n",
        "gone": "image,mask,label,class_name\ngone.png,,normal,part\n",
        "mask": "image,mask,label,class_name\nphoto.png,gone.png,anomalous,part\n",
        "noclass": "image,mask,label,class_name\nphoto.png,,normal,\n",
    }
    for name, content in tables.items():
        (root / f"{name}.csv").write_text(content)
    (root / "binary.csv").write_bytes(b"image,label\n\xff\xfe,\x00\n")
    for name in ("folder", "folder.png", "folder.pth", "set/good", "set/scratch"):
        (root / name).mkdir(parents=True)
    draw(root / "parts", ("gear",))
    (root / "dead.png").symlink_to(root / "gone.png")
    for place in ("good/0", "good/1", "scratch/0"):
        Image.fromarray(pixels).save(root / "set" / f"{place}.png")
    found = {path.name.replace(".", "_"): str(path) for path in root.iterdir()}
    return found | {"missing": str(root / "missing"), "below": f"{photo}/x", "root": str(root)}


def _png_header(width: int, height: int) -> bytes:
    """Return the beginning of a PNG of a size, with a right checksum."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


NUMBERS = {
    "0": "",
    "-1": "",
    "x": "",
    "1.5": "",
    "": "",
    "1e3": "",
    "nan": "",
    "99999999999999999999999x": "",
}
"""Wrong values of every option that takes a count."""

SETS = (
    ("", "write part.option=value"), ("x", "x"), ("=", "write part.option=value"),
    ("nope=1", "there is no 'nope' to set"), ("scorer", "write part.option=value"),
    ("scorer=nope", "unknown part 'nope'"), ("scorer.nope=1", "nope"),
    ("scorer.=1", "write part.option=value"),
    ("scorer.temperature=x", "temperature"), ("scorer.temperature=nan", "temperature"),
    ("scorer.temperature=-1", "temperature"), ("scorer.temperature=0", "temperature"),
    ("scorer.temperature=[", "not a value in YAML"), ("post_processors+=nope", "unknown part 'nope'"),
    ("post_processors-=nope", "nope"), ("post_processors=1", "post_processors"),
    ("post_processors.gaussian.sigma=x", "sigma"), ("post_processors.gaussian.sigma=-1", "sigma"),
    ("post_processors.gaussian.sigma=inf", "sigma"), ("profile.nope=1", "nope"),
    ("profile.activation=tanh", "activation"), ("image_size=x", "image_size"),
    ("image_size=-1", "image_size"),
    ("image_size=0", "image_size"), ("readout.taps=x", "readout"), ("readout.nope=1", "readout"),
    ("training.epochs=1", "'training' has no effect"), ("generator.x=1", "'generator' has no effect"),
    ("generator", "write generator.OPTION=VALUE"), ("prompt_learner=standard.cosine", "standard.cosine"),
    ("prompt_learner.normal_prompts=x", "normal_prompts"),
    ("attention_refiner.x=1", "attention_refiner"),
)  # fmt: skip

COMMON = {
    "--method": (("", "unknown method ''"), ("nope", "unknown method 'nope'"),
                 ("clip-baseline@nope", "unknown method"),
                 ("a/b", "unknown method 'a/b'"), ("clip-baselin", "did you mean 'clip-baseline'")),
    "--backbone": (("", "backbone"), ("nope", "nope"), ("ViT-B-61:x", "ViT-B-61"), ("ViT-B-32", "ViT-B-32:"),
                   ("ViT-B-32@", "ViT-B-32@"), ("ViT-B-32@{missing}", "missing"),
                   ("ViT-B-32@{folder}", "folder"),
                   ("ViT-B-32@{text_pth}", r"text\.pth"), ("ViT-B-32@{empty_pth}", r"empty\.pth"),
                   ("ViT-B-32@{lfs_pth}", r"lfs\.pth"), ("ViT-B-32@{page_pth}", r"page\.pth"),
                   ("ViT-B-32@{bomb_pth}", r"bomb\.pth"),
                   ("ViT-B-32@{text_safetensors}", r"text\.safetensors"),
                   ("ViT-B-32@{empty_safetensors}", r"empty\.safetensors"),
                   ("ViT-B-32@{short_safetensors}", r"short\.safetensors"),
                   ("ViT-B-32@{nobody_safetensors}", r"nobody\.safetensors"),
                   ("ViT-B-32@random:x", "random:"),
                   ("ViT-B-32@random:-1", "random:"), ("{config_json}@random:0", r"config\.json"),
                   ("{list_json}@random:0", r"list\.json"), ("{missing}.json@random:0", r"missing\.json"),
                   ("{folder}@random:0", "folder")),
    "--image-size": (*((value, "--image-size") for value in NUMBERS), ("17", "pixels|multiple"),
                     ("1000000", "GiB of memory")),
    "--device": (("", "device"), ("tpu", "tpu"), ("cuda:x", "cuda:x"), ("cuda:99", "cuda:99"),
                 ("cpu:cpu", "cpu:cpu")),
    "--dtype": (("", "dtype"), ("float8", "float8"), ("int8", "int8")),
    "--seed": (("x", "--seed"), ("", "--seed"), ("1.5", "--seed"), ("-1", "--seed"),
               ("99999999999999999999", "--seed")),
    "--nope": (("x", "No such option"),),
}  # fmt: skip
"""Wrong values of the options that commands share, with what the sentence has to name."""

WEIGHTS = (
    ("", "--weights|weights"), ("{missing}", "missing"), ("{folder}", "folder"), ("{text_pth}", r"text\.pth"),
    ("{text_safetensors}", r"text\.safetensors"), ("{empty_safetensors}", r"empty\.safetensors"),
    ("{short_safetensors}", r"short\.safetensors"), ("{nobody_safetensors}", r"nobody\.safetensors"),
    ("{lfs_pth}", r"lfs\.pth"), ("nope={missing}x", "nope|missing"), ("scorer={missing}", "scorer|missing"),
    ("prompt_learner={missing}", "missing"), ("{bomb_pth}", r"bomb\.pth"),
)  # fmt: skip

ADAPTERS = (
    ("{missing}", "missing"),
    ("{folder}", "folder"),
    ("{photo_png}", r"photo\.png"),
    ("", "--adapter"),
)

SENTENCES = (("", "is empty"), ("  ", "is empty"), ("@", "cannot be read"), ("@{missing}", "cannot be read"),
             ("@{folder}", "cannot be read"), ("@{binary_txt}", "no text in UTF-8"),
             ("@{empty_txt}", "holds no sentence"),
             ("@{comment_txt}", "holds no sentence"))  # fmt: skip

OUTS = (("", "--out"), ("{photo_png}", r"photo\.png.*a file is in the folder's place"),
        ("{below}", r"photo\.png.*a part of the path is a file"))  # fmt: skip

DATA = (
    ("", "names no layout"), ("nope", "unknown dataset layout 'nope'"),
    ("nope={folder}", "unknown dataset layout"),
    ("folder=", "names no folder"), ("folder", "names no folder"), ("={folder}", "names no layout"),
    ("folder={missing}", "no file or folder"), ("folder={folder}", "folder"),
    ("folder={photo_png}", r"photo\.png"),
    ("mvtec={folder}", "folder"), ("mvtec={photo_png}", r"photo\.png"), ("visa={folder}", "folder"),
    ("btad={folder}", "folder"), ("meta={folder}", "folder"), ("meta={config_json}", r"config\.json"),
    ("meta={list_json}", r"list\.json"), ("meta={photo_png}", r"photo\.png"),
    ("folder={set}:nope", "no class 'nope'"),
    ("folder={set}:", "empty class name"), (":folder={set}", "name ''"), ("a/b:folder={set}", "name"),
    ("samples=x", "takes no path"), ("samples:nope", "nope"),
    *((f"manifest={{{name}_csv}}", rf"{name}\.csv")
      for name in ("empty", "columns", "label", "gone", "mask", "noclass", "binary")),
    ("manifest={header_csv}", "no test image"), ("manifest={missing}", "no file or folder"),
    ("manifest={folder}", "folder"),
)  # fmt: skip

BASE = {
    "predict": "predict {photo_png} --method clip-baseline --backbone {tiny} --out {out}",
    "eval": "eval --method clip-baseline --data folder={set} --backbone {tiny} --workers 0 --out {out}",
    "calibrate": "calibrate --normals {parts} --method clip-baseline --rule quantile --backbone {tiny} "
    "--out {out}/c.json",
    "train": "train --method anomalyclip --data folder={parts} --backbone {tiny} --no-cache --out {out}",
}
OWN = {
    "predict": {
        **COMMON, "--weights": WEIGHTS, "--adapter": ADAPTERS, "--set": SETS, "--out": OUTS,
        "--class-name": (("", "--class-name is empty"), ("_", "--class-name is empty")),
        "--normal-prompt": SENTENCES, "--abnormal-prompt": SENTENCES,
        "--threshold": (("x", "neither a number nor a file"), ("", "empty"), ("nan", "--threshold nan"),
                        ("{text_png}", r"text\.png' is no calibration"), ("{folder}", "nor a file"),
                        ("{list_json}", r"list\.json' is no calibration")),
        "--tile": (("x", "--tile"), ("0", "tiles of 0 pixels"), ("-1", "tiles of -1")),
        "--overlap": (("x", "--overlap"), ("0.5", "give --tile N too")),
        "--pixel-threshold": (("x", "--pixel-threshold"), ("inf", "--pixel-threshold inf is no number")),
        "--batch-size": tuple((value, "--batch-size") for value in NUMBERS),
        "--log-file": (("{folder}", "--log-file"), ("{below}", "--log-file"), ("", "--log-file")),
    },
    "calibrate": {
        **{option: COMMON[option] for option in ("--method", "--image-size", "--seed", "--nope")},
        "--normals": (("", "it is empty"), ("{missing}", "missing"), ("{folder}", "folder"),
                      ("{text_png}", r"text\.png.*take it out of --normals|needs the spread")),
        "--out": (("", "--out"), ("{photo_png}", r"photo\.png"), ("{folder}", "name a file"),
                  ("{below}", r"photo\.png")),
        "--rule": (("", "--rule"), ("nope", "--rule"), ("fixed", "--threshold is missing")),
        "--false-alarm": (("x", "--false-alarm"), ("0", "a share between 0 and 1"), ("nan", "a share"),
                          ("1", "a share between 0 and 1")),
        "--threshold": (("x", "--threshold"), ("0.5", "what --rule quantile computes")),
        "--pixel-threshold": (("x", "--pixel-threshold"), ("0.5", "what --rule quantile computes")),
        "--class-name": (("", "--class-name is empty"), ("_", "--class-name is empty")),
        "--tile": (("x", "--tile"), ("0", "tiles of 0 pixels")),
        "--overlap": (("x", "--overlap"), ("0.5", "give --tile N too")),
    },
    "eval": {
        **COMMON, "--weights": WEIGHTS, "--adapter": ADAPTERS, "--set": SETS, "--out": OUTS, "--data": DATA,
        "--normal-prompt": SENTENCES, "--abnormal-prompt": SENTENCES,
        "--noun": (("", "--noun"), ("x", "--noun"), ("set=", "--noun"),
                   ("nope=x", "no dataset or class 'nope'"),
                   ("set:nope=x", "no dataset or class 'set:nope'")),
        "--metrics": (("", "unknown metric"), ("nope", "unknown metric 'nope'"),
                      ("image_aurok", "did you mean")),
        "--resolution": (("", "--resolution"), ("nope", "--resolution"), ("1", "--resolution")),
        "--batch-size": tuple((value, "--batch-size") for value in NUMBERS),
        "--workers": tuple((value, "--workers") for value in NUMBERS if value != "0"),
        "--engine": (("slurm", "--engine"), ("", "--engine")),
    },
    "train": {
        **COMMON, "--weights": WEIGHTS, "--out": OUTS, "--data": DATA,
        "--epochs": tuple((value, "--epochs") for value in NUMBERS),
        "--batch-size": tuple((value, "--batch-size") for value in NUMBERS),
        "--copies": tuple((value, "--copies") for value in NUMBERS),
        "--lr": (("x", "--lr"), ("", "--lr"), ("0", "learning"), ("-1", "learning"),
                 ("nan", "learning|number"),
                 ("inf", "learning|number")),
        "--generator": (("nope", "unknown generator 'nope'"), ("", "unknown generator|--generator")),
        "--adapter": (("nope", "--adapter"), ("", "--adapter")),
        "--precision": (("nope", "--precision"), ("float8", "--precision")),
        "--cache-dtype": (("nope", "--cache-dtype"),),
        "--workers": tuple((value, "--workers") for value in NUMBERS if value != "0"),
        "--set": (("", "write part.option=value"), ("nope=1", "there is no 'nope'"),
                  ("training.nope=1", "nope"),
                  ("training.epochs=x", "epochs"), ("training.epochs=0", "epochs"),
                  ("training.losses=x", "losses"), ("training.losses=[]", "loss"),
                  ("generator.area=1", "generator"), ("adapter.rank=2", "adapter")),
    },
}  # fmt: skip

IMAGES = (
    ("", "it is empty"), ("{missing}", "missing"), ("{folder}", "folder"), ("{folder_png}", r"folder\.png"),
    ("{dead_png}", r"dead\.png"), ("{below}", r"photo\.png"),
    *((f"{{{name}}}", name.replace("_", r"\."), True)
      for name in ("text_png", "empty_png", "short_png", "huge_png", "nothing_png", "lfs_png", "page_png",
                   "config_json")),
)  # fmt: skip

OTHERS: tuple[tuple[str, str] | tuple[str, str, int], ...] = (
    ("nope", "unknown command 'nope'"), ("predct", "did you mean 'predict'"), ("--nope", "No such option"),
    ("predict", "Missing"), ("predict --method clip-baseline", "Missing"), ("eval", "Missing"),
    ("train", "Missing"),
    ("convert", "Missing"), ("report", "Missing"), ("methods info", "Missing"), ("weights push", "Missing"),
    ("methods nope", "No such command"), ("methods --nope", "No such option"),
    ("parts --kind nope", "--kind"),
    *((f"{listing} info nope", "nope") for listing in
      ("methods", "parts", "metrics", "datasets", "backbones", "generators", "losses", "plugins")),
    *((f"{listing} info ''", "''") for listing in
      ("methods", "parts", "metrics", "datasets", "generators", "losses")),
    *((f"datasets check {spec or repr(spec)}", pattern) for spec, pattern in DATA
      if spec != "manifest={mask_csv}"),
    ("report {missing}", "missing"), ("report {folder}", "folder"), ("report {photo_png}", r"photo\.png"),
    ("report ''", "it is empty"), ("report {folder} --format nope", r"unknown reporter 'nope' \(there are: "),
    ("convert nope {bomb_pth} {root}/o.safetensors", "unknown method 'nope'"),
    ("convert clip-baseline {bomb_pth} {root}/o.safetensors", "clip-baseline"),
    *((f"convert anomalyclip {{{file}}} {{root}}/o.safetensors", file.replace("_", r"\."))
      for file in ("text_pth", "empty_pth", "lfs_pth", "page_pth", "bomb_pth", "folder_pth")),
    ("convert anomalyclip {missing} {root}/o.safetensors", "missing"),
    ("doctor --verify nope", "nope"), ("doctor --verify ''", "verify|backbone"),
    ("doctor --verify ViT-B-32@{missing}", "missing"), ("doctor --verify ViT-B-32@{text_pth}", r"text\.pth"),
    ("bench metrics --pixels 0", "--pixels"), ("bench metrics --pixels x", "--pixels"),
    ("bench metrics --seed -1", "--seed"), ("bench methods", "Missing"),
    ("bench methods --method nope", "nope"),
    ("bench methods --method clip-baseline --images 0", "--images"),
    ("bench methods --method clip-baseline --repeats x", "--repeats"), ("bench train --images 1", "--images"),
    ("bench train --method nope", "nope"), ("bench nope", "No such command"),
    ("weights info {missing}", "missing"), ("weights info {text_safetensors}", r"text\.safetensors"),
    ("weights info {folder}", "folder"), ("weights push {missing} {root}/repository", "missing"),
    ("weights push {text_safetensors} {root}/repository", r"text\.safetensors"),
    ("weights pull {missing}", "missing"),
    ("demo --port x", "--port"), ("demo --port 0", "--port"), ("demo --port 70000", "--port"),
    ("demo --auth x", "USER:PASSWORD"), ("demo --auth @{missing}", "cannot be read"),
    ("demo --auth @{binary_txt}", "cannot be read"), ("demo --runs {missing}", "missing"),
    ("demo --runs {folder}", "folder"), ("demo --runs ''", "it is empty"),
    ("demo --weights nope={missing}", "nope"),
    ("demo --weights anomalyclip={missing}", "missing"), ("demo --in-memory 0", "--in-memory"),
    ("demo --nope", "No such option"), ("quickstart --out ''", "it is empty"),
    ("quickstart --nope", "No such option"),
    ("quickstart --out {photo_png}", r"photo\.png"),
    ("predict {photo_png} --method winclip --backbone ViT-B-32@ --out {root}/o",
     "'ViT-B-32@' names no file after '@'; write ViT-B-32@/path/to/file"),
    ("eval --method winclip --data manifest={empty_csv} --out {root}/o", r"empty\.csv' has no first line"),
)  # fmt: skip


def cases(inputs: Mapping[str, str]) -> Iterator[Case]:
    """Yield every wrong command; ``inputs`` are those of :func:`make_inputs` with ``tiny`` and ``out``."""
    for command, options in OWN.items():
        base = [word.format_map(inputs) for word in BASE[command].split()]
        for option, values in options.items():
            # Weights are for a method that learns.
            method = ["anomalyclip" if word == "clip-baseline" else word for word in base]
            words = _without(method if option == "--weights" else base, option)
            for value, pattern, *code in values:
                yield Case((*words, f"{option}={value.format_map(inputs)}"), pattern, *code)
    base = [word.format_map(inputs) for word in BASE["predict"].split()]
    for value, pattern, *recorded in IMAGES:
        yield Case(("predict", value.format_map(inputs), *base[2:]), pattern, 2, *recorded)
    for line, pattern, *code in OTHERS:
        yield Case(
            tuple("" if word == "''" else word.format_map(inputs) for word in line.split()), pattern, *code
        )


def _without(words: list[str], option: str) -> list[str]:
    """Return a command without one of its options, which is then given a wrong value."""
    if option not in words:
        return words
    place = words.index(option)
    return [*words[:place], *words[place + 2 :]]
