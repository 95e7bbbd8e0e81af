#!/usr/bin/env bash
# All six domains side by side: the policy is loaded once for problems and answers, then the reward model once.
#
#   scripts/generate_all_math_domains.sh MODEL
#
# Makes data/MODEL_AllDomains_time/<domain>/… with combined_dataset_info.json and README.md.
# Hours with DeepSeek-R1-Distill-Qwen-32B on one A100 80 GB: exp/check_run.py prints them with the arithmetic
# before it starts.
#
# Variables, and those of scripts/side_by_side.sh and those of scripts/refine_dataset.sh:
#   RUN=name     names the folder data/name, or resumes it: call again, finished rows are not asked for again
#   COUNT=50     problems in each domain (without it: SCALE times the default 44,000 of all six)
#   REFINE=0     leaves out what scripts/refine_dataset.sh does at the end
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
[[ $# -eq 1 ]] || die "usage: scripts/generate_all_math_domains.sh MODEL"
model=$1
plan=$("$python" "$root/exp/check_run.py" --model "$model" ${COUNT:+--count "$COUNT"} ${SCALE:+--scale "$SCALE"} \
  ${REWARD_MODEL:+--reward_model "$REWARD_MODEL"} ${TRUST_REMOTE_CODE:+--trust_remote_code})
IFS=$'\t' read -r _ _ _ _ _ _ name reward_model <<<"$plan"
mapfile -t domains < <(cut -f 1 <<<"$plan")
export RUN=${RUN:-${name}_AllDomains_$(date +%Y%m%d_%H%M%S)}
out=$root/data/$RUN logs=$root/data/$RUN/logs
resumable "$0" "$model"

# each PHASE MODEL URL LOG FILE…: that half of every domain, beside one server.
each() {
  local outputs=() domain file
  for domain in "${domains[@]}"; do
    for file in "${@:5}"; do outputs+=("$out/$domain/${domain}_$file.json"); done
  done
  PHASE=$1 BASE_URL=$3 LOG=$logs/$4.log PLAN=$plan await "$here/serve.sh" "$2" "${outputs[@]}" -- "$here/side_by_side.sh" "$model"
}

[[ ${DRY:-} ]] || mkdir -p "$logs"
each generate "$model" "${POLICY_URL:-}" policy_server ins_res ins_7res
POOLING=1 each rank "$reward_model" "${REWARD_URL:-}" reward_server ins_7res_armorm
step describe_run --run_path "$out" --model_path "$model" --elapsed_s "$SECONDS"
[[ ${REFINE:-1} == 0 ]] || "$here/refine_dataset.sh" "$out" "$model" ||
  echo "The dataset is whole, but was not refined: see above. RUN=$RUN make refine tries again." >&2
[[ ${DRY:-} ]] || echo "All domains in $((SECONDS / 60)) min $((SECONDS % 60)) s."
