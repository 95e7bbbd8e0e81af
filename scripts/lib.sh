# shellcheck shell=bash
# Sourced by every driver: where things are, how a stage is run, how a signal is passed on.
# Paths that a user types stay relative to where the user stands, so no driver changes directory.
# shellcheck disable=SC2034 # used by the drivers
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}

die() {
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}
. "$root/scripts/header.sh"
. "$root/scripts/checks.sh"
[[ -x $python || ${DRY:-} ]] || die "no Python at $python; run 'make setup', or set PYTHON=…"

# say TEXT: one line on stderr with the time and, where domains run side by side, with the domain.
say() {
  printf '%(%T)T  %s%s\n' -1 "${TIDING_DOMAIN:+$TIDING_DOMAIN  }" "$*" >&2
}

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
  if [[ ${TIDING_FAILURES:-} ]]; then # a live table shows what happens; this file keeps the errors that it would draw over
    "$python" "$root/exp/$stage.py" "$@" 2>>"$log" && return
    echo "$TIDING_DOMAIN  $(tail -n 1 "$log")  (log ${log#"$PWD"/})" >>"$TIDING_FAILURES"
    return 1
  fi
  say "$stage  log ${log#"$PWD"/}"
  # Only stderr goes to the log as well. tee and sed outlive a signal, so that an interrupted stage still says what it kept.
  { "$python" "$root/exp/$stage.py" "$@" 2>&1 >&3 | to_log "$log" >&2; } 3>&1 || return
  say "$stage  done in $((SECONDS - started))s"
}
to_log() (
  trap '' INT TERM
  tee -a "$1" | sed -u "s/^/${TIDING_DOMAIN:+$TIDING_DOMAIN  }/"
)

# await COMMAND…: as in the foreground, but a signal ends the wait at once and is passed on.
await() {
  "$@" &
  local child=$!
  trap 'kill -TERM "$child" 2>/dev/null; wait "$child" || true; exit 130' INT TERM HUP
  wait "$child"
}
