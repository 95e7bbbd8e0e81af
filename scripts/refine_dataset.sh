#!/usr/bin/env bash
# Make a finished run's data worth training on: cleaned, decontaminated, voted on, paired, exported, and a report to look at.
#
#   scripts/refine_dataset.sh RUN_FOLDER MODEL
#
# Makes RUN_FOLDER/refined/: clean.json, voted.json, sft.jsonl, pairs.jsonl; dataset/ (Parquet, JSONL, card); report.html.
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
[[ ${#ranked[@]} -gt 0 || ! ${DRY:-} ]] || ranked=("$out/DOMAIN/DOMAIN_ins_7res_armorm.json") # of a run that is yet to be
[[ ${#ranked[@]} -gt 0 ]] || die "$out: no ranked responses in it (*/*_ins_7res_armorm.json); make all-domains makes them"

step clean_ins --ins_data_path "$(IFS=, && echo "${ranked[*]}")" ${BENCHMARKS:+--benchmarks "$BENCHMARKS"} \
  --save_path "$refined/clean.json" "${anew[@]}"
step vote_res --ins_data_path "$refined/clean.json" --save_path "$refined/voted.json" "${anew[@]}"
step prep_sft --voted_paths "$refined/voted.json" ${FORMAT:+--format "$FORMAT"} --save_path "$refined/sft.jsonl" "${anew[@]}"
step prep_pairs --voted_paths "$refined/voted.json" --save_path "$refined/pairs.jsonl" "${anew[@]}"
step export_dataset --data_paths "$refined/sft.jsonl,$refined/pairs.jsonl" --model_path "$model" --save_path "$out/dataset" "${anew[@]}"
step report_run --run_path "$out"
