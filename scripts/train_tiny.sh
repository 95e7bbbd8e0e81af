#!/usr/bin/env bash
# The embedded model made better by its own data: base → Magpie data → refined → SFT → GRPO → export, each step against
# the base.
#
#   scripts/train_tiny.sh
#
# Makes data/RUN/: the domains' data, refined/, dataset/, report.html, models/ (sft_raw learns from the unfiltered first
# answers, to be compared with), evals/, comparison.json and .png. About 6 minutes on 2 cores.
#
# Variables, and those of scripts/generate_all_math_domains.sh:
#   RUN=name      names or resumes it (default: chain)
#   SEED=0        of the sampling and the trainings
#   COUNT=75      problems in each domain
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
[[ $# -eq 0 ]] || die "usage: scripts/train_tiny.sh"
export RUN=${RUN:-chain} SEED=${SEED:-0}
out=$root/data/$RUN logs=$root/data/$RUN/logs raw=() results=()
resumable "$0"

REFINE=1 "$here/../run_math_generation.sh" 0 4 "${COUNT:-75}"
for domain in algebra calculus geometry statistics number_theory discrete; do raw+=("$out/$domain/${domain}_ins_res.json"); done
tune() { # NAME DATA
  step sft --config "$root/configs/sft/tiny.yaml" --model_path 0 --data_path "$2" --save_path "$out/models/$1" --seed "$SEED"
}
tune sft_raw "$(IFS=, && echo "${raw[*]}")"
tune sft "$out/refined/sft.jsonl"
step grpo --config "$root/configs/grpo/tiny.yaml" --model_path "$out/models/sft" --data_path "$out/refined/sft.jsonl" \
  --save_path "$out/models/grpo" --seed "$SEED"
step export_model --model_path "$out/models/grpo" --save_path "$out/models/export"

for model in base sft_raw sft grpo export; do
  results+=("$out/evals/$model.json")
  path=$out/models/$model
  [[ $model != base ]] || path=0
  step eval_tiny --model_path "$path" --model_type "$model" --save_path "$out/evals/$model.json"
done
step compare_evals --results_paths "$(IFS=, && echo "${results[*]}")" --save_path "$out/comparison.json"
step report_run --run_path "$out" # now with the comparison
