# shellcheck shell=bash
# Sourced by every driver: where things are, and the one helper that runs a stage.
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
  # Only stderr goes to the log as well; tee -i: after Ctrl-C the stage still says what it kept.
  { "$python" "$root/exp/$stage.py" "$@" 2>&1 >&3 | tee -ia "$log" >&2; } 3>&1
  printf '%(%T)T  %s  done in %ds\n' -1 "$stage" "$((SECONDS - started))" >&2
}
