# shellcheck shell=bash
# Sourced by every driver: where things are, how a stage is run, how a run that stops says how to go on.
# Paths that a user types stay relative to where the user stands, so no driver changes directory.
# shellcheck disable=SC2034 # used by the drivers
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}

die() {
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

[[ -x $python || ${DRY:-} ]] || die "no Python at $python; run 'make setup', or set PYTHON=…"

# step STAGE FLAGS…: a heading with the time, the stage, its log; DRY=1 prints the command instead.
step() {
  local stage=$1 started=$SECONDS log=${logs:?}/$1.log words
  shift
  if [[ ${DRY:-} ]]; then
    printf -v words ' %q' "$@"
    echo "python exp/$stage.py$words" # one write: domains run side by side
    return
  fi
  mkdir -p "$logs"
  printf '%(%T)T  %s  log %s\n' -1 "$stage" "$log" >&2
  # Only stderr goes to the log as well. tee outlives a signal, so that an interrupted stage still says what it kept.
  { "$python" "$root/exp/$stage.py" "$@" 2>&1 >&3 | (trap '' INT TERM && exec tee -a "$log" >&2); } 3>&1
  printf '%(%T)T  %s  done in %ds\n' -1 "$stage" "$((SECONDS - started))" >&2
}

# resumable COMMAND…: however this script ends but well, print COMMAND with the settings that make it go on.
resumable() {
  trap 'status=$?; ((status == 0)) || how_to_resume '"${*@Q}"' >&2' EXIT
  trap 'exit 130' INT TERM HUP
}
how_to_resume() {
  local settings='' v
  for v in SCALE COUNT REWARD_MODEL SEED JOBS TRUST_REMOTE_CODE POLICY_URL REWARD_URL PORT SOURCE REFINE BENCHMARKS FORMAT TRAIN TEST LIMO AIME SFT_CONFIG GRPO_CONFIG EVAL_FLAGS; do
    [[ ! ${!v:-} ]] || settings+=" $v=${!v@Q}"
  done
  printf 'not finished; to go on where it stopped:\n  RUN=%q%s' "$RUN" "$settings"
  printf ' %q' "$@"
  echo
}

# await COMMAND…: as in the foreground, but a signal ends the wait at once and is passed on.
await() {
  "$@" &
  local child=$!
  trap 'kill -TERM "$child" 2>/dev/null; wait "$child" || true; exit 130' INT TERM HUP
  wait "$child"
}
