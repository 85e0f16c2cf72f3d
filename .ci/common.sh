# Shared by .ci/run and .ci/full, which source it from the root of the checkout.

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export ZSAD_REQUIRE="${ZSAD_REQUIRE:-kit,chromium,pillow13}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

step() {
    printf '\n== %s (%ss)\n' "$*" "$SECONDS"
}

install() {
    step "install into a fresh environment"
    python3 -m venv "$work/venv"
    # shellcheck disable=SC1091
    . "$work/venv/bin/activate"
    python -m pip install --quiet ".[test]"
    browser
}

# The tests of the demo drive Debian's Chromium.
browser() {
    [ -x /usr/bin/chromium ] && return
    step "install chromium"
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } </dev/null >/dev/null; then
        echo "chromium could not be installed (that takes root and a connection): its tests will fail;" \
            "install it, or set ZSAD_REQUIRE=kit to have them skipped"
    fi
}

lint() {
    step "ruff check"
    ruff check .
    step "ruff format"
    ruff format --check .
    step "mypy"
    mypy
}

# Runs outside the checkout, so that the installed wheel is what is tried, package data included.
smoke() (
    mkdir "$work/smoke"
    cd "$work/smoke"
    python -c '
from PIL import Image, ImageDraw
image = Image.new("RGB", (320, 240), (128, 140, 150))
ImageDraw.Draw(image).ellipse((120, 80, 180, 130), fill=(60, 20, 20))
image.save("part.png")
import torch
state = {name: torch.zeros(1, 1, 12, 512) for name in ("ctx_pos", "ctx_neg")}
state |= {f"compound_prompts_text.{block}": torch.zeros(4, 512) for block in range(8)}
state["compound_prompt_projections.0.weight"] = torch.zeros(896, 512)
torch.save({"prompt_learner": state}, "authors.pth")'
    for command in --help methods parts backbones datasets metrics "plugins list --json" doctor "demo --help" \
        "quickstart --out quick" "report quick --format markdown" "predict part.png --method anomalyclip --out mini" \
        "convert anomalyclip authors.pth weights.safetensors" \
        "predict part.png --method clip-baseline --backbone ViT-B-32@random:0 --class-name part --out out --json"; do
        step "zsad $command"
        # shellcheck disable=SC2086
        zsad $command >output.txt || { cat output.txt; exit 1; }
        test -s output.txt || { echo "zsad $command printed nothing"; exit 1; }
    done
)

# The very command of README.md; "$@" adds options.
tests() {
    step "tests $*"
    python -m pip install -e ".[test]" && python -m pytest "$@"
}
