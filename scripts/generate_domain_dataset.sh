#!/usr/bin/env bash
# One domain: problems, one answer each (for SFT), seven answers each, ranked (for DPO and RLHF).
#
#   scripts/generate_domain_dataset.sh MODEL DOMAIN [COUNT]      without COUNT the domain's default count times SCALE
#
# Makes data/RUN/DOMAIN/: DOMAIN_ins.json, _ins_res.json, _ins_7res.json, _ins_7res_armorm.json, dataset_info.json, logs/.
# PHASE=generate or rank, which scripts/side_by_side.sh sets, does that half alone against the server at BASE_URL.
#
# Variables, and those of scripts/serve.sh:
#   RUN=name           names a run, or resumes it (default: MODEL_DOMAIN_time); another COUNT adds to it or cuts it
#   SCALE=0.01         of the default count (without it: 0.01 for the embedded model, 1 for others)
#   REWARD_MODEL=name  ranks the answers (default: the one that configs/models.yaml names for MODEL)
#   SEED=0             of the sampling
#   IN_FLIGHT=64       requests of a stage that a server gets at a time (default: 256)
#   POLICY_URL=http://127.0.0.1:8000/v1   a server of MODEL that is there already
#   REWARD_URL=http://127.0.0.1:8001/v1   a server of the reward model that is there already
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
[[ $# -eq 2 || $# -eq 3 ]] || die "usage: scripts/generate_domain_dataset.sh MODEL DOMAIN [COUNT]"
model=$1 domain=$2 count=${3:-default}
plan=$(check --model "$model" --domain "$domain" --count "$count" ${RUN:+--run_path "$root/data/$RUN"} ${PHASE:+--quick} \
  ${SCALE:+--scale "$SCALE"} ${REWARD_MODEL:+--reward_model "$REWARD_MODEL"} ${TRUST_REMOTE_CODE:+--trust_remote_code})
IFS=$'\t' read -r domain count ins_temp max_ins res_temp max_res name reward_model left <<<"$plan"
export RUN=${RUN:-${name}_${domain}_$(date +%Y%m%d_%H%M%S)}
out=$root/data/$RUN/$domain logs=$root/data/$RUN/$domain/logs
files=$out/$domain
served=(--seed "${SEED:-0}" --engine openai --base_url "${BASE_URL:-}" ${IN_FLIGHT:+--max_in_flight "$IN_FLIGHT"})

generate() {
  step gen_ins --model_path "$model" --save_path "${files}_ins.json" --total_prompts "$count" --temperature "$ins_temp" \
    --control_tasks math --domain "$domain" --max_tokens "$max_ins" "${served[@]}"
  step gen_res --model_path "$model" --ins_data_path "${files}_ins.json" --save_path "${files}_ins_res.json" \
    --domain "$domain" --temperature "$res_temp" --max_tokens "$max_res" "${served[@]}"
  step gen_po_multi_res --model_path "$model" --ins_data_path "${files}_ins.json" --save_path "${files}_ins_7res.json" \
    --domain "$domain" --temperature 0.8 --num_responses 7 --max_tokens "$max_res" "${served[@]}"
}
rank() {
  step gen_po_rewards --model_name_or_path "$reward_model" --ins_data_path "${files}_ins_7res.json" \
    --save_path "${files}_ins_7res_armorm.json" "${served[@]:2}"
}

case ${PHASE:-both} in
generate) TIDING_DOMAIN=$domain generate ;;
rank) TIDING_DOMAIN=$domain rank ;;
both)
  [[ ${DRY:-} ]] || mkdir -p "$logs"
  resumable "$0" "$model" "$domain" "$count"
  PHASE=generate BASE_URL=$(server_for generate "$left" "${POLICY_URL:-}") LOG=$logs/policy_server.log \
    await "$here/serve.sh" "$model" -- "$0" "$model" "$domain" "$count"
  POOLING=1 PHASE=rank BASE_URL=$(server_for rank "$left" "${REWARD_URL:-}") LOG=$logs/reward_server.log \
    await "$here/serve.sh" "$reward_model" -- "$0" "$model" "$domain" "$count"
  step describe_run --run_path "$root/data/$RUN" --model_path "$model" --elapsed_s "$SECONDS"
  ;;
*) die "no PHASE $PHASE; known: generate, rank" ;;
esac
