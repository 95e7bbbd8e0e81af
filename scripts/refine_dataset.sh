#!/usr/bin/env bash
# Make a finished run's data worth training on: cleaned, decontaminated, voted on, paired, exported, and a report to look at.
#
#   scripts/refine_dataset.sh RUN_FOLDER MODEL
#
# Makes RUN_FOLDER/refined/: clean.json, voted.json, sft.jsonl, pairs.jsonl; dataset/ (Parquet, JSONL, card); report.html.
# What was made of a run that has grown since is made anew.
#
# Variables:
#   BENCHMARKS=a.jsonl,b.jsonl   whose problems may not be trained on
#   FORMAT=boxed                 layout of the SFT rows, of configs/formats.yaml
#   OVERWRITE=1                  makes everything anew
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ $# -eq 2 ]] || die "usage: scripts/refine_dataset.sh RUN_FOLDER MODEL"
out=${1%/} model=$2 logs=${1%/}/logs
refined=$out/refined anew=(${OVERWRITE:+--overwrite})
RUN=$(basename "$out")
resumable "$0" "$out" "$model"
mapfile -t ranked < <(find "$out" -mindepth 2 -maxdepth 2 -name '*_ins_7res_armorm.json' 2>/dev/null | sort)
if [[ ${#ranked[@]} -eq 0 && ${DRY:-} ]]; then # the files of a run that is yet to be
  while read -r domain; do
    ranked+=("$out/$domain/${domain}_ins_7res_armorm.json")
  done < <(check --model "$model" --quick | cut -f 1 | sort)
fi
[[ ${#ranked[@]} -gt 0 ]] || die "$out: no ranked responses in it (*/*_ins_7res_armorm.json); make all-domains makes them"

step clean_ins --ins_data_path "$(IFS=, && echo "${ranked[*]}")" ${BENCHMARKS:+--benchmarks "$BENCHMARKS"} \
  --save_path "$refined/clean.json" "${anew[@]}"
step vote_res --ins_data_path "$refined/clean.json" --save_path "$refined/voted.json" "${anew[@]}"
step prep_sft --voted_paths "$refined/voted.json" ${FORMAT:+--format "$FORMAT"} --save_path "$refined/sft.jsonl" "${anew[@]}"
step prep_pairs --voted_paths "$refined/voted.json" --save_path "$refined/pairs.jsonl" "${anew[@]}"
step export_dataset --data_paths "$refined/sft.jsonl,$refined/pairs.jsonl" --model_path "$model" --save_path "$out/dataset" "${anew[@]}"
step report_run --run_path "$out"
