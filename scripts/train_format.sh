#!/usr/bin/env bash
# The embedded model learns a new layout of its answers, and keeps what it knew: worked problems → SFT → 200 fresh ones,
# before and after.
#
#   scripts/train_format.sh [FORMAT]      FORMAT of configs/formats.yaml: working_out (default) or reasoning
#
# Makes data/RUN/: train.json, models/sft, evals/, comparison.json and .png. About 3 minutes on 2 cores.
#
# Variables:
#   RUN=name          names or resumes it (default: format_FORMAT)
#   SEED=0            of the problems and the training
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ $# -le 1 ]] || die "usage: scripts/train_format.sh [FORMAT]"
format=${1:-working_out}
export RUN=${RUN:-format_$format}
out=$root/data/$RUN logs=$root/data/$RUN/logs
resumable "$0" "$format"

step prep_tiny --num_examples 512 --seed "${SEED:-0}" --save_path "$out/train.json"
step sft --config "$root/configs/sft/tiny_format.yaml" --model_path 0 --data_path "$out/train.json" --format "$format" \
  --save_path "$out/models/sft" --seed "${SEED:-0}"
evaluate() { # NAME MODEL
  step eval_tiny --model_path "$2" --model_type "$1" --format "$format" --num_problems 200 --save_path "$out/evals/$1.json"
}
evaluate base 0
evaluate sft "$out/models/sft"
step compare_evals --results_paths "$out/evals/base.json,$out/evals/sft.json" --save_path "$out/comparison.json"
