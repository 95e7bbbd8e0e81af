#!/usr/bin/env bash
# The front door: turn a model into a ranked math dataset.
#
#   ./run_math_generation.sh [MODEL [MODE [DOMAIN [COUNT]]]]      without arguments on a terminal: a menu
#
# MODEL   a number of configs/models.yaml (0 the embedded tiny, 1 DeepSeek-R1-Distill-Qwen-32B, …), a folder or a hub name
# MODE    1 one domain   2 all domains   3 a quick test of every domain (5 problems)   4 all domains, COUNT problems each
# DOMAIN  algebra calculus geometry statistics number_theory discrete; modes 2 to 4 take "all" or nothing
# COUNT   problems; mode 1 without it: the domain's default count times SCALE
#
# Variables are those of scripts/generate_all_math_domains.sh (RUN, SCALE, SEED, REWARD_MODEL, DRY, …).
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/scripts/lib.sh"
modes='1 one domain, 2 all domains, 3 quick test of every domain, 4 all domains with a custom COUNT'

ask() { # ask QUESTION DEFAULT: the answer on stdout
  local answer
  read -r -p "$1 [$2]: " answer </dev/tty
  echo "${answer:-$2}"
}

if (($# == 0)); then
  [[ -t 0 ]] || die "usage: ./run_math_generation.sh MODEL MODE [DOMAIN [COUNT]]; modes: $modes"
  "$python" "$root/exp/check_run.py" --menu
  model=$(ask 'Model (a number, a folder or a hub name)' 0)
  printf '%s\n' "Modes: $modes"
  mode=$(ask Mode 2)
  domain=all count=''
  [[ $mode != 1 ]] || domain=$(ask Domain algebra)
  [[ $mode != [14] ]] || count=$(ask 'Problems in each domain' 20)
  set -- "$model" "$mode" "$domain" ${count:+"$count"}
fi
(($# <= 4)) || die "usage: ./run_math_generation.sh MODEL MODE [DOMAIN [COUNT]], not $# arguments"

model=$1 mode=${2:-2} domain=${3:-} count=${4:-}
# Modes 2 to 4 have no domain to choose: `0 4 50` means COUNT 50.
if [[ $mode == [234] && $# -eq 3 && $domain == *[0-9]* ]]; then count=$domain domain=''; fi
[[ $mode != [234] || ! $domain || $domain == all ]] || die "mode $mode makes all domains, not $domain alone: that is mode 1"
case $mode in
1)
  [[ $domain && $domain != all ]] || die "mode 1 makes one domain: ./run_math_generation.sh $model 1 DOMAIN [COUNT]"
  [[ $count ]] || count=default
  exec "$here/scripts/generate_domain_dataset.sh" "$model" "$domain" "$count"
  ;;
2) [[ ! $count ]] || die "mode 2 makes the default counts times SCALE; COUNT belongs to mode 4" ;;
3) export COUNT=5 ;;
4)
  [[ $count ]] || die "mode 4 needs COUNT: ./run_math_generation.sh $model 4 COUNT"
  export COUNT=$count
  ;;
*) die "no MODE $mode; known: $modes" ;;
esac
exec "$here/scripts/generate_all_math_domains.sh" "$model"
