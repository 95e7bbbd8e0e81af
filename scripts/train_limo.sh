#!/usr/bin/env bash
# Long reasoning from few problems: SFT on LIMO's 817 solutions, GRPO on GSM8K from there, AIME after each; one merged model.
#
#   scripts/train_limo.sh MODEL
#
# Makes data/RUN/: models/sft and models/grpo (LoRA adapters), models/merged, evals/aime_eval_combined_*.json,
# comparison.json and .png. Many hours on one GPU.
#
# Variables:
#   RUN=name                     names or resumes it (default: limo_MODEL)
#   LIMO=file                    instead of the hub's GAIR/LIMO
#   TRAIN=file                   instead of the hub's openai/gsm8k, split train
#   AIME=folder                  instead of AIME 2024 and 2025 from the network
#   SEED=0                       of the training
#   SFT_CONFIG=configs/sft/…     other settings of SFT
#   GRPO_CONFIG=configs/grpo/…   other settings of GRPO
#   EVAL_FLAGS="--n_sampling 4"  goes to every evaluation
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ $# -eq 1 ]] || die "usage: scripts/train_limo.sh MODEL"
model=$1
export RUN=${RUN:-limo_$(basename "$model")}
out=$root/data/$RUN logs=$root/data/$RUN/logs models=$root/data/$RUN/models results=()
sft=${SFT_CONFIG:-$root/configs/sft/limo.yaml} grpo=${GRPO_CONFIG:-$root/configs/grpo/limo.yaml} seed=(--seed "${SEED:-0}")
read -ra flags <<<"${EVAL_FLAGS:-}"
resumable "$0" "$model"
[[ -e $models/grpo ]] || check --job train --model "$model" --training_configs "$sft,$grpo"

evaluate() { # NAME [ADAPTER]
  local asked=(--model_path "$model" ${2:+--adapter_path "$2"} --model_type "$1" --test_data_path "$out/aime.jsonl"
    --save_dir "$out/evals" ${flags[@]+"${flags[@]}"}) result
  step eval_aime "${asked[@]}"
  result=$("$python" "$root/exp/eval_aime.py" "${asked[@]}" --name_only)
  results+=("$result")
}

step prep_limo ${LIMO:+--source "$LIMO"} --save_path "$out/limo.json"
step prep_gsm8k --split train ${TRAIN:+--source "$TRAIN"} --save_path "$out/gsm8k.json"
step prep_aime ${AIME:+--source "$AIME"} --save_path "$out/aime.jsonl"
evaluate base
step sft --config "$sft" --model_path "$model" --data_path "$out/limo.json" --save_path "$models/sft" "${seed[@]}"
evaluate sft "$models/sft"
step grpo --config "$grpo" --model_path "$model" --adapter_path "$models/sft" --data_path "$out/gsm8k.json" \
  --save_path "$models/grpo" "${seed[@]}"
evaluate grpo "$models/grpo"
step export_model --model_path "$model" --adapter_path "$models/grpo" --save_path "$models/merged"
step compare_evals --results_paths "$(IFS=, && echo "${results[*]}")" --save_path "$out/comparison.json"
