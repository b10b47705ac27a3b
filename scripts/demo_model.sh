#!/usr/bin/env bash
# Train the model `tiny` on the shards of `make demo`, on a CPU, then the same without balancing beside it: scripts/demo_model.sh
# Starts afresh: what an earlier run left in out/model/tiny and out/model/tiny-unbalanced is removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
# Where other work keeps the cores busy, threads that wait by spinning take most of what is left.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
# Logits are large and made anew each step: memory that is kept rather than given back saves nearly all time in the kernel (of 16 steps
# 0.4 s instead of 6.1 s, beside 7 s of computing; glibc).
export MALLOC_MMAP_MAX_=${MALLOC_MMAP_MAX_:-0} MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-8589934592}

if [ ! -f out/demo/tokenization/manifest.json ]; then
    echo "demo-model: no shards in out/demo/tokenization; run make demo first" >&2
    exit 2
fi
rm -rf out/model/tiny out/model/tiny-unbalanced
SECONDS=0
echo "== tiny, $(nproc) cores"
python -m model.train --config configs/model/tiny.yaml "$@"
trained=$SECONDS
echo "== tiny without balancing, a part of the tokens"
python -m model.train --config configs/model/tiny.yaml "$@" --set out=out/model/tiny-unbalanced \
    --set train.balance.bias_rate=0 --set train.balance.sequence_loss=0 --set train.tokens=65536
echo
python -m model.metrics out/model/tiny out/model/tiny-unbalanced
echo
echo "demo-model: tiny $trained s, both $SECONDS s; out/model/tiny has checkpoints, metrics, tensorboard and export"
