# What people run while working on zsad. `just` lists it; each line can as well be typed by hand.

_list:
    @just --list

# Install the checkout with everything that tests need.
install:
    python -m pip install -e ".[test]"

# The everyday tests, or some: `just test tests/metrics -x`.
test *words:
    python -m pytest {{ words }}

# The long tests alone.
long *words:
    python -m pytest -m acceptance {{ words }}

# Agreement with the authors' code.
parity:
    python -m pytest tests/parity

# Formatting and style, mended where that can be done.
lint:
    ruff check --fix .
    ruff format .

# Types.
types:
    mypy

# Everything that a change must pass, in a fresh environment.
ci:
    .ci/run

# The same with the long tests.
full:
    .ci/full

# The pictures of the demo in docs/images, by a real Chromium.
docs-figures:
    ZSAD_ARTIFACTS=docs/images python -m pytest tests/demo/test_browser.py -m acceptance -k "pictures and light-wide"

# The figures of the embedded backbone's model card.
mini-figures:
    python -m tools.train_mini.figures --count 200

# Speed: exact metrics beside scikit-learn, and three methods in one pass.
bench:
    zsad bench metrics
    zsad bench methods --method clip-baseline --method anomalyclip --method crane --backbone mini

# Three methods on example images, without a download.
quickstart:
    zsad quickstart

# The app, on the embedded backbone.
demo:
    zsad demo
