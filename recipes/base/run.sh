#!/usr/bin/env bash
# Launches the recipe folder this script stands in, or the folder in $RECIPE:
#   bash recipes/<paper>/run.sh tiny [key=value ...]    one process, the shipped model on a CPU
#   bash recipes/<paper>/run.sh full [key=value ...]    torchrun, the paper's model
# One node: GPUS processes (8 unless set). Several nodes: the same line on every node with NODES (how many),
# NODE_RANK (0 to NODES - 1), MASTER_ADDR and MASTER_PORT (of node 0) set:
#   GPUS=8 NODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 bash recipes/<paper>/run.sh full
# PYTHON names the interpreter; unset, .venv/bin/python where `make venv` made one, else python3.
set -euo pipefail

folder=$(cd -- "${RECIPE:-$(dirname -- "${BASH_SOURCE[0]}")}" && pwd)
size=${1:-}
if [[ $# -gt 0 ]]; then shift; fi
cd -- "$folder/../.."
paper=$(basename -- "$folder")
python=${PYTHON:-python3}
if [[ -z ${PYTHON:-} && -x .venv/bin/python ]]; then python=.venv/bin/python; fi

case $size in
tiny | full) ;;
*)
    echo "usage: bash recipes/$paper/run.sh tiny|full [key=value ...]; got '${size}'" >&2
    exit 2
    ;;
esac
recipe=recipes/$paper/$size.yaml
if [[ ! -f $recipe ]]; then
    echo "$recipe: no such file; run.sh launches the tiny.yaml or full.yaml of its folder" >&2
    exit 2
fi
if [[ $size == tiny ]]; then
    exec "$python" -m mmrl train "$recipe" "$@"
fi
exec "$python" -m torch.distributed.run \
    --nproc_per_node="${GPUS:-8}" --nnodes="${NODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${MASTER_PORT:-29500}" \
    -m mmrl train "$recipe" "$@"
