#!/usr/bin/env bash
# tessera beside PyTorch, ONNX Runtime and OpenVINO on this CPU (cpu_vs_pytorch.py); arguments are passed on.
#   benchmarks/cpu_vs_pytorch.sh [--batches 1 --sizes 800x1344 --rounds 3 ...]
set -euo pipefail
cd "$(dirname "$0")/.."
environment=build/goldens/venv
make --no-print-directory "$environment/bin/python" build/tessera
"$environment/bin/pip" install --quiet --requirement benchmarks/requirements.txt
exec "$environment/bin/python" benchmarks/cpu_vs_pytorch.py --tessera build/tessera "$@"
