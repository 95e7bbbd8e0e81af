# shellcheck shell=bash
# Sourced by lib.sh: what a driver asks of exp/check_run.py before it starts a server.
# shellcheck disable=SC2154 # lib.sh assigns python and root

# check FLAGS…: exp/check_run.py, which ends the run for what it finds; CHECK=warn and DRY=1 make that a warning.
check() {
  local choice=${CHECK:-refuse}
  [[ ! ${DRY:-} ]] || choice=warn
  "$python" "$root/exp/check_run.py" --check "$choice" "$@"
}

# server_for PHASE LEFT URL: the URL; where PHASE is not among what is LEFT, one where nobody answers and nobody will ask.
server_for() {
  if [[ ! $3 && $2 != *"$1"* ]]; then echo http://127.0.0.1:9/v1; else echo "$3"; fi
}
