#!/usr/bin/env bash
# Checks and times zsad on a GPU: benchmarks/gpu.sh [OPTIONS]; README.md beside this file says what for.
#
# Needs a Python with torch for the device, and no network. What that Python lacks is taken from wheels:
#   PYTHON   the Python (python3)
#   WHEELS   folder of wheels, or unset where nothing is missing
#   OUT      folder for gpu.json and gpu.txt (./gpu), as --out
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${PYTHON:-python3}"
site="$(mktemp -d)"
trap 'rm -rf "$site"' EXIT
if [ -n "${WHEELS:-}" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
fi
"$python" "$root/benchmarks/checkout.py" "$root" "$site"
export PYTHONPATH="$root:$root/plugins:$root/prompts:$root/demo:$site${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
cd "$root"
"$python" -m benchmarks.gpu "$@"
