#!/usr/bin/env bash
# All six domains side by side: the policy is loaded once for problems and answers, then the reward model once.
#
#   scripts/generate_all_math_domains.sh MODEL
#
# Makes data/MODEL_AllDomains_time/<domain>/… with combined_dataset_info.json and README.md. A domain that is short of
# problems is said to be so; one that fails does not stop the others, and the run ends with the command that goes on.
# Hours with DeepSeek-R1-Distill-Qwen-32B on one A100 80 GB: exp/check_run.py prints them with the arithmetic
# before it starts.
#
# Variables, and those of scripts/side_by_side.sh and those of scripts/refine_dataset.sh:
#   RUN=name     names the folder data/name, or resumes it: call again, finished rows are not asked for again
#   COUNT=50     problems in each domain (without it: SCALE times the default 44,000 of all six); another COUNT adds or cuts
#   REFINE=0     leaves out what scripts/refine_dataset.sh does at the end
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
[[ $# -eq 1 ]] || die "usage: scripts/generate_all_math_domains.sh MODEL"
model=$1
plan=$(check --model "$model" ${COUNT:+--count "$COUNT"} ${SCALE:+--scale "$SCALE"} ${RUN:+--run_path "$root/data/$RUN"} \
  ${REWARD_MODEL:+--reward_model "$REWARD_MODEL"} ${TRUST_REMOTE_CODE:+--trust_remote_code})
IFS=$'\t' read -r _ _ _ _ _ _ name reward_model _ <<<"$plan"
export RUN=${RUN:-${name}_AllDomains_$(date +%Y%m%d_%H%M%S)}
out=$root/data/$RUN logs=$root/data/$RUN/logs
resumable "$0" "$model"

# each PHASE MODEL URL LOG: that half of every domain of the plan, beside one server. A domain that fails is no reason to end.
each() {
  local url status=0
  url=$(server_for "$1" "$(cut -f 9 <<<"$plan")" "$3")
  PHASE=$1 BASE_URL=$url LOG=$logs/$4.log PLAN=$plan await "$here/serve.sh" "$2" -- "$here/side_by_side.sh" "$model" || status=$?
  ((status == 0 || status == 123)) || exit "$status" # 123: xargs ran them all, and some failed
}
sampled() { # the domains of the plan that have answers to rank
  local domain rest
  while IFS=$'\t' read -r domain rest; do
    [[ ! ${DRY:-} && ! -e $out/$domain/${domain}_ins_7res.json ]] || printf '%s\t%s\n' "$domain" "$rest"
  done <<<"$plan"
}

[[ ${DRY:-} ]] || mkdir -p "$logs"
each generate "$model" "${POLICY_URL:-}" policy_server
plan=$(sampled)
[[ $plan ]] || die "no domain has answers to rank: see above"
POOLING=1 each rank "$reward_model" "${REWARD_URL:-}" reward_server
failed=0
step describe_run --run_path "$out" --model_path "$model" --elapsed_s "$SECONDS" || failed=$?
((failed == 0 || failed == 3)) || exit "$failed" # 3: it named the domains that are not finished
[[ ${REFINE:-1} == 0 ]] || "$here/refine_dataset.sh" "$out" "$model" ||
  echo "The dataset is whole, but was not refined: see above. RUN=$RUN make refine tries again." >&2
[[ ${DRY:-} ]] || echo "All domains in $((SECONDS / 60)) min $((SECONDS % 60)) s."
exit "$failed"
