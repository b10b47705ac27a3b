#!/usr/bin/env bash
# Fine-tune the model `tiny` on made exercises, on a CPU: sft, then rft, then dpo; held-out answers after each: scripts/demo_posttrain.sh
# Takes a trained model's export, out/model/tiny/export (make demo-model) or START. Starts afresh in out/model/posttrain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
# As in scripts/demo_model.sh: logits are large and made anew each step.
export MALLOC_MMAP_MAX_=${MALLOC_MMAP_MAX_:-0} MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-8589934592}

start=${START:-out/model/tiny/export}
out=${OUT:-out/model/posttrain}
if [ ! -f "$start/config.json" ]; then
    echo "demo-posttrain: no model in $start; run make demo-model first, or give one in START" >&2
    exit 2
fi
rm -rf "$out"
mkdir -p "$out"
SECONDS=0
# The report's rates are for a model that can speak. This one has seen some 100,000s of tokens, and no chat marks.
tiny=(--set train.sequence_length=256 --set train.batch=2 --set train.precision=fp32)

score() { # name, model
    echo "== $1: held-out answers"
    python -m model.answer "$2" --prompts "$out/exercises/heldout.jsonl" --out "$out/$1.answers.jsonl" --new-tokens 24 \
        --isolation best | tee "$out/$1.score"
}

python -m model.exercises --out "$out/exercises"
score base "$start"
echo "== sft, $(nproc) cores"
python -m model.sft --config configs/model/sft.yaml --set start="$start" --set out="$out/sft" \
    --set "data.files=[$out/exercises/conversations.jsonl]" "${tiny[@]}" \
    --set train.epochs=20 --set train.rate=3e-3 --set train.final_rate=3e-4 "$@"
score sft "$out/sft/export"
echo "== rft"
python -m model.rft --config configs/model/rft.yaml --set start="$out/sft/export" --set out="$out/rft" \
    --set "sample.prompts=[$out/exercises/prompts.jsonl]" --set "also=[$out/exercises/conversations.jsonl]" \
    --set sample.answers=4 --set sample.new_tokens=24 --set sample.batch=32 --set sample.chunk=128 --set keep.most=1 \
    --set keep.pairs=1 --set sandbox.isolation=best --set workers=2 \
    "${tiny[@]}" --set train.epochs=2 --set train.rate=1e-3 --set train.final_rate=1e-4
score rft "$out/rft/export"
echo "== dpo"
python -m model.dpo --config configs/model/dpo.yaml --set start="$out/rft/export" --set out="$out/dpo" \
    --set "files=[$out/rft/pairs.jsonl]" "${tiny[@]}" --set train.batch=8 --set train.micro_batch=8 \
    --set train.rate=1e-4 --set train.final_rate=2e-5 --set average=0.9
score dpo "$out/dpo/export"
echo
for name in base sft rft dpo; do
    printf '%-5s %s\n' "$name" "$(grep '^all ' "$out/$name.score")"
done
echo "demo-posttrain: $SECONDS s; $out has metrics, samples, answers and exports"
