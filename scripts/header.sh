# shellcheck shell=bash
# A driver's header is its manual, and the one place that declares its variables: a line `#   NAME=example  what it does`
# each, or the name of another driver with those. `--help` prints it, and the line that resumes a run repeats the ones that are set.
#
# Variables of every driver:
#   PYTHON=python3   another Python than the project's own environment
#   DRY=1            prints every command and runs none; what a check finds is a warning
#   CHECK=warn       goes on though a check before the run finds that it cannot work here
header=${BASH_SOURCE[0]}
if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  sed -n '2,/^set -e/{/^set -e/d; s/^# \{0,1\}//; p}' "$0"
  sed -n '/^# Variables/,/^header/{/^header/d; s/^# \{0,1\}//; p}' "$header"
  exit 0
fi

# variables_of FILE: the names that its header declares, and those of the drivers that it refers to.
variables_of() {
  local comments other
  comments=$(sed -n '/^# Variables/,/^[^#]/p' "$1")
  sed -n 's/^#   \([A-Z_]*\)=.*/\1/p' <<<"$comments"
  while read -r other; do
    variables_of "$(dirname "$header")/$other"
  done < <(grep -o 'those of scripts/[a-z_]*\.sh' <<<"$comments" | sed 's/.*\///')
}

# resumable COMMAND…: however this script ends but well, print COMMAND with the settings that make it go on.
resumable() {
  trap 'status=$?; ((status == 0)) || how_to_resume '"${*@Q}"' >&2' EXIT
  trap 'exit 130' INT TERM HUP
}
how_to_resume() {
  local settings='' name
  for name in $({ variables_of "$0" && variables_of "$header"; } | sort -u); do
    [[ $name == RUN || ! ${!name:-} ]] || settings+=" $name=${!name@Q}"
  done
  printf 'not finished; to %s:\n  RUN=%q%s' "$([[ ${OVERWRITE:-} ]] && echo 'make it anew' || echo 'go on where it stopped')" \
    "$RUN" "$settings"
  printf ' %q' "$@"
  echo
}
