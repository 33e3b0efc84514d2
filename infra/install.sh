#!/bin/sh
# Install Footnote into a virtual environment: sh infra/install.sh VENV run|dev
# Without an NVIDIA GPU, PyTorch is installed as its CPU build: the usual one brings gigabytes of CUDA along.
set -eu
venv=$1
kind=$2
torch=2.13.0
"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Footnote needs Python 3.11 or newer; name one with: make PYTHON=python3.11 $kind" >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
pip="$venv/bin/python -m pip install --quiet --disable-pip-version-check"
installed() { "$venv/bin/python" -c 'import torch' 2>/dev/null; }

if nvidia-smi >/dev/null 2>&1; then
    faiss=gpu
    echo "Installing with GPU support…"
    installed || $pip "torch==$torch"
else
    faiss=cpu
    echo "Installing for the CPU…"
    # A CPU build may be at hand under its own name; uv knows where PyTorch publishes them; else the registry's own build.
    installed || $pip "torch==$torch+cpu" 2>/dev/null ||
        { $pip uv && VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --torch-backend cpu "torch==$torch" 2>/dev/null; } ||
        $pip "torch==$torch"
fi
case $kind in
run) $pip -c constraints.txt -e ".[$faiss,postgres]" ;;
dev) $pip -c constraints.txt -e ".[$faiss,postgres,dev]" ;;
*)
    echo "usage: sh infra/install.sh VENV run|dev" >&2
    exit 2
    ;;
esac
