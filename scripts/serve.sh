#!/usr/bin/env bash
# Run a command beside a model server, which is loaded once and gone when the command ends, fails or is interrupted.
#
#   scripts/serve.sh MODEL [FILE…] -- COMMAND…     COMMAND finds the server's address in $BASE_URL
#
# Where every FILE exists already COMMAND has nothing to ask and runs without a server.
# PORT=8000 (default: a free one)   LOG=server.log   TIMEOUT=1200 s for loading   POOLING=1 for a reward model
# TRUST_REMOTE_CODE=1 runs the model's own code   VLLM_FLAGS="--data-parallel-size 4" goes to vLLM as it is
# BASE_URL=http://…/v1 set already: that server is used, none is started. DRY=1 prints the commands.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage='usage: scripts/serve.sh MODEL [FILE…] -- COMMAND…'
[[ $# -ge 3 ]] || die "$usage"
model=$1 missing=0 files=0
shift
while [[ ${1:?$usage} != -- ]]; do
  files=1
  [[ -e $1 ]] || missing=1
  shift
done
shift
((missing || ! files)) || BASE_URL=${BASE_URL:-http://127.0.0.1:9/v1} # the discard port: nobody answers there
[[ ! ${BASE_URL:-} ]] || BASE_URL=$BASE_URL exec "$@"
flags=(--model_path "$model" ${POOLING:+--pooling} ${TRUST_REMOTE_CODE:+--trust_remote_code})
if [[ ${DRY:-} ]]; then
  printf 'python exp/serve_model.py --port %q' "${PORT:-8000}"
  printf ' %q' "${flags[@]}"
  printf ' &\n'
  BASE_URL=http://127.0.0.1:${PORT:-8000}/v1 exec "$@"
fi

log=${LOG:-$(mktemp)}
port=${PORT:-$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
set -m # every background job leads a process group of its own, so that it can be ended whole
server='' command=''

# end PID SIGNAL: ask its process group to end, give it 10 s, then kill.
end() {
  [[ $1 ]] && kill "-$2" -- "-$1" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 -- "-$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null || true
}
finish() {
  end "$command" INT # as Ctrl-C would: a stage then says what it kept
  end "$server" TERM
} 2>/dev/null # job control would report every ended job
trap finish EXIT
trap 'exit 130' INT TERM HUP

healthy() {
  local code
  (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && read -r _ code _ <&3 && [[ $code == 200 ]]) 2>/dev/null
}

printf '%(%T)T  serving %s on port %s, log %s\n' -1 "$model" "$port" "$log" >&2
"$python" "$root/exp/serve_model.py" --port "$port" "${flags[@]}" >>"$log" 2>&1 &
server=$!
until healthy; do
  if ! kill -0 "$server" 2>/dev/null; then
    tail -n 15 "$log" >&2
    die "the server of $model died while it started; its log is $log"
  fi
  ((SECONDS < ${TIMEOUT:-1200})) || die "the server of $model was not ready after ${TIMEOUT:-1200} s; its log is $log"
  sleep 0.3
done
printf '%(%T)T  server ready after %ds\n' -1 "$SECONDS" >&2
BASE_URL=http://127.0.0.1:$port/v1 "$@" &
command=$!
wait "$command"
