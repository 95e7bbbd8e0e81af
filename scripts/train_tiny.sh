#!/usr/bin/env bash
# The embedded model made better by its own data: base → Magpie data → verified SFT → GRPO → export, each step against the base.
#
#   scripts/train_tiny.sh
#
# Makes data/RUN/: the domains' data, models/sft, models/grpo, models/export, evals/, comparison.json and .png.
# RUN=chain names or resumes it   SEED=0   COUNT=75 problems a domain   DRY=1      About 10 minutes on 2 cores.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
[[ $# -eq 0 ]] || die "usage: scripts/train_tiny.sh"
export RUN=${RUN:-chain} SEED=${SEED:-0}
out=$root/data/$RUN logs=$root/data/$RUN/logs seed=(--seed "$SEED") verified=()
resumable "$0"

"$here/../run_math_generation.sh" 0 4 "${COUNT:-75}"
for domain in algebra calculus geometry statistics number_theory discrete; do
  verified+=("$out/$domain/${domain}_ins_7res_verified.json")
  step verify_res --ins_data_path "$out/$domain/${domain}_ins_7res_armorm.json" --save_path "${verified[-1]}"
done
step prep_sft --verified_paths "$(IFS=, && echo "${verified[*]}")" --save_path "$out/sft.jsonl"
step sft --config "$root/configs/sft/tiny.yaml" --model_path 0 --data_path "$out/sft.jsonl" --save_path "$out/models/sft" "${seed[@]}"
step grpo --config "$root/configs/grpo/tiny.yaml" --model_path "$out/models/sft" --data_path "$out/sft.jsonl" \
  --save_path "$out/models/grpo" "${seed[@]}"
step export_model --model_path "$out/models/grpo" --save_path "$out/models/export"

results=()
for model in base sft grpo export; do
  results+=("$out/evals/$model.json")
  path=$out/models/$model
  [[ $model != base ]] || path=0
  step eval_tiny --model_path "$path" --model_type "$model" --save_path "$out/evals/$model.json"
done
step compare_evals --results_paths "$(IFS=, && echo "${results[*]}")" --save_path "$out/comparison.json"
