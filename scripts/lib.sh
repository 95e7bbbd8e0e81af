# shellcheck shell=bash
# Sourced by every driver: where things are, how a stage is run, how a server is asked and ended.
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

# end PID: terminate its process group, give it 10 s, then kill.
end() {
  [[ $1 ]] && kill -TERM -- "-$1" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 -- "-$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null || true
}

# healthy PORT: whether a server on this machine answers its health check.
healthy() {
  local code
  (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && read -r _ code _ <&3 && [[ $code == 200 ]]) 2>/dev/null
}
