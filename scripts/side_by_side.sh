#!/usr/bin/env bash
# One half of every domain, several domains at a time: on a terminal as one live table, else as lines that name the domain.
#
#   PLAN="…" PHASE=generate scripts/side_by_side.sh MODEL
#
# Called by scripts/generate_all_math_domains.sh beside a server. PLAN is what exp/check_run.py prints: domain, count, …
#
# Variables, and those of scripts/generate_domain_dataset.sh:
#   JOBS=6       domains at a time
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
[[ $# -eq 1 ]] || die "usage: PLAN=… PHASE=… scripts/side_by_side.sh MODEL"
model=$1 jobs=${JOBS:-6}
[[ ! ${DRY:-} ]] || jobs=1

watcher=''
if [[ -t 2 && ! ${DRY:-} ]]; then
  TIDING_FAILURES=$(mktemp)
  export TIDING_FAILURES
  "$python" "$root/exp/report_progress.py" --run_path "$root/data/$RUN" &
  watcher=$!
fi
finish() {
  [[ $watcher ]] || return 0
  kill -TERM "$watcher" 2>/dev/null || true
  # A terminal that nobody reads from (a stopped ssh) would hold it for ever.
  timeout 5 tail --pid="$watcher" -f /dev/null || kill -KILL "$watcher" 2>/dev/null || true
  wait
  cat "$TIDING_FAILURES" >&2
  rm "$TIDING_FAILURES"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

await xargs -P "$jobs" -L 1 -a <(cut -f 1,2 <<<"$PLAN") "$here/generate_domain_dataset.sh" "$model"
