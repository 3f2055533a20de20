#!/usr/bin/env bash
# Tables 2 and 3 of the anchor-free YOLACTR paper in small: the shipped tiny_shapes model and three changes to it, each
# trained from scratch on the same generated scenes for the same number of iterations and judged on the same 200 scenes.
#   benchmarks/yolactr_ablations.sh [ITERATIONS=1500] [OUT=out/ablations] [THREADS=0]
# Prints a table in Markdown; every run keeps its log.jsonl and report.html under OUT. A run that is complete is not
# repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
iterations=${1:-1500} out=${2:-out/ablations} threads=${3:-0}
tessera=${TESSERA_BINARY:-build/tessera}
[[ -x $tessera ]] || { echo "error: $tessera is missing" >&2; echo "  try: make" >&2; exit 2; }
mkdir -p "$out"
for set in train:3000:1 held_out:200:2; do
  IFS=: read -r name count seed <<<"$set"
  [[ -e $out/data/instances_$name.json ]] ||
    "$tessera" data generate -q --count "$count" --size 128 --seed "$seed" --prefix "$name" -o "$out/data" >/dev/null
done

train() {  # train NAME key=value ...
  local run=$out/$1
  [[ -e $run/final.safetensors ]] && return
  rm -rf "$run"
  "$tessera" train configs/yolactr_anchor_free_tiny_shapes.json --threads "$threads" --out "$run" \
    data.train.annotations="$out/data/instances_train.json" data.train.images="$out/data/images" \
    data.val.annotations="$out/data/instances_held_out.json" data.val.images="$out/data/images" \
    train.iterations="$iterations" train.steps="[$((iterations * 3 / 4)), $((iterations * 11 / 12))]" "${@:2}" >/dev/null
}
row() {  # row NAME LABEL
  grep '"type": "eval"' "$out/$1/log.jsonl" | tail -n 1 |
    sed -E 's/.*"segm": \{"AP": ([0-9.]+), "AP50": ([0-9.]+), "AP75": ([0-9.]+).*/\1 \2 \3/' |
    awk -v label="$2" '{ printf "| %s | %.3f | %.3f | %.3f |\n", label, $1, $2, $3 }'
}

train layers_2
train layers_6 model.anchor_free.layers=6
train bce model.anchor_free.mask_loss=bce
train ce model.anchor_free.class_loss=ce
echo "$iterations iterations of 8 scenes, 200 held-out scenes"
echo
echo "| model | mask AP | AP50 | AP75 |"
echo "|---|---|---|---|"
row layers_2 "2 layers, dice and focal (as shipped)"
row layers_6 "6 layers (table 3)"
row bce "binary cross entropy for dice (table 2)"
row ce "softmax cross entropy for focal (table 2)"
