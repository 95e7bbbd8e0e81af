#!/usr/bin/env bash
# Evaluate models on one benchmark and compare them: a table each, then the comparison against the first, with a picture.
#
#   scripts/evaluate.sh BENCHMARK MODEL [MODEL…]      BENCHMARK: tiny (600 fresh problems), gsm8k or aime
#
# A MODEL is a number of configs/models.yaml, a folder or a hub name; MODEL+FOLDER applies a LoRA adapter to it, unmerged.
# Makes data/eval/RUN/: results, samples, comparison.json and .png. The embedded model takes half a minute for `tiny` on
# 2 cores; AIME's 480 samples of up to 32,768 tokens take hours on one GPU.
#
# Variables:
#   RUN=name          names or resumes it (default: the benchmark)
#   SOURCE=file       file, folder or hub name of the problems
#   IN_FLIGHT=64      requests at a time (default: 1,024 in this process, 256 to a server)
#   EVAL_FLAGS="--n_sampling 8 --temperature 0.6"   goes to the evaluation
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ $# -ge 2 ]] || die "usage: scripts/evaluate.sh tiny|gsm8k|aime MODEL [MODEL…]"
benchmark=$1
shift
[[ $benchmark == tiny || $benchmark == gsm8k || $benchmark == aime ]] || die "no benchmark $benchmark; known: tiny, gsm8k, aime"
[[ ${RUN:-} != *,* ]] || die "RUN=$RUN: a comma cannot be part of it"
export RUN=${RUN:-$benchmark}
out=$root/data/eval/$RUN logs=$root/data/eval/$RUN/logs results=()
resumable "$0" "$benchmark" "$@"
read -ra flags <<<"${EVAL_FLAGS:-}"

split() { # split MODEL: sets base, adapter, name, and the result that its evaluation will write
  base=$1 adapter=''
  [[ $1 != *+* || -d $1 ]] || adapter=${1#*+} base=${1%%+*}
  name=$(basename "${adapter:-$base}") result=$out/$name.json
  asked=(--model_path "$base" ${adapter:+--adapter_path "$adapter"} ${IN_FLIGHT:+--max_in_flight "$IN_FLIGHT"} ${flags[@]+"${flags[@]}"})
  [[ $benchmark != aime ]] || asked+=(--test_data_path "$root/data/aime/aime.jsonl" --save_dir "$out" --model_type "$name")
  [[ $benchmark != aime ]] || result=$("$python" "$root/exp/eval_aime.py" "${asked[@]}" --name_only)
}

for model in "$@"; do
  split "$model"
  results+=("$result")
  [[ -e $result || " ${EVAL_FLAGS:-}" == *' --base_url'* ]] || check --job evaluate --model "$base"
done

case $benchmark in
tiny) ;;
gsm8k) data=$root/data/gsm8k/test.json && step prep_gsm8k ${SOURCE:+--source "$SOURCE"} --save_path "$data" ;;
aime) step prep_aime ${SOURCE:+--source "$SOURCE"} --save_path "$root/data/aime/aime.jsonl" ;;
esac
for model in "$@"; do
  split "$model"
  case $benchmark in
  tiny) step eval_tiny "${asked[@]}" --save_path "$out/$name.json" ;;
  gsm8k) step eval_gsm8k "${asked[@]}" --test_data_path "$data" --save_path "$out/$name.csv" ;;
  aime) step eval_aime "${asked[@]}" ;;
  esac
done
(($# < 2)) || step compare_evals --results_paths "$(IFS=, && echo "${results[*]}")" --save_path "$out/comparison.json"
