#!/usr/bin/env bash
# The GSM8K pipeline in seven steps: evaluate, SFT, evaluate, a short SFT as preparation, evaluate, GRPO from there,
# evaluate; then compare.
#
#   scripts/train_gsm8k.sh MODEL
#
# Makes data/RUN/: models/sft_model, rl_sft_model and grpo_model (LoRA adapters), evals/*_eval.csv and .json,
# comparison.json and .png. Hours on one GPU.
#
# Variables:
#   RUN=name                     names or resumes it (default: gsm8k_MODEL)
#   TRAIN=file                   instead of the hub's openai/gsm8k, split train
#   TEST=file                    instead of the hub's openai/gsm8k, split test
#   SEED=0                       of the training
#   SFT_CONFIG=configs/sft/…     other settings of both SFT steps
#   GRPO_CONFIG=configs/grpo/…   other settings of GRPO
#   EVAL_FLAGS="--num_problems 100"   goes to every evaluation
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
[[ $# -eq 1 ]] || die "usage: scripts/train_gsm8k.sh MODEL"
model=$1 format=working_out
export RUN=${RUN:-gsm8k_$(basename "$model")}
out=$root/data/$RUN logs=$root/data/$RUN/logs models=$root/data/$RUN/models results=()
sft=${SFT_CONFIG:-$root/configs/sft/gsm8k.yaml} grpo=${GRPO_CONFIG:-$root/configs/grpo/gsm8k.yaml}
read -ra flags <<<"${EVAL_FLAGS:-}"
resumable "$0" "$model"
[[ -e $models/grpo_model ]] || check --job train --model "$model" --training_configs "$sft,$grpo"

evaluate() { # NAME [ADAPTER]
  step eval_gsm8k --model_path "$model" ${2:+--adapter_path "$2"} --model_type "$1" --format "$format" \
    --test_data_path "$out/test.json" --save_path "$out/evals/${1}_eval.csv" ${flags[@]+"${flags[@]}"}
  results+=("$out/evals/${1}_eval.json")
}
tune() { # STAGE NAME
  step sft --config "$sft" --stage "$1" --model_path "$model" --data_path "$out/train.json" --save_path "$models/$2" --seed "${SEED:-0}"
}

step prep_gsm8k --split train ${TRAIN:+--source "$TRAIN"} --save_path "$out/train.json"
step prep_gsm8k --split test ${TEST:+--source "$TEST"} --save_path "$out/test.json"
evaluate base_model
tune full sft_model
evaluate sft_model "$models/sft_model"
tune rl_prep rl_sft_model
evaluate rl_sft "$models/rl_sft_model"
step grpo --config "$grpo" --model_path "$model" --adapter_path "$models/rl_sft_model" --data_path "$out/train.json" \
  --save_path "$models/grpo_model" --seed "${SEED:-0}"
evaluate grpo_model "$models/grpo_model"
step compare_evals --results_paths "$(IFS=, && echo "${results[*]}")" --save_path "$out/comparison.json"
