#!/usr/bin/env bash
# Run a command beside a model server, which is loaded once and gone when the command ends, fails or is interrupted.
#
#   scripts/serve.sh MODEL -- COMMAND…     COMMAND finds the server's address in $BASE_URL
# Where BASE_URL=http://…/v1 is set already no server is started.
# Variables (and POOLING=1 for a reward model, LOG=server.log, which the drivers set):
#   PORT=8000              of the server (default: a free one)
#   TIMEOUT=1200           seconds that loading may take
#   TRUST_REMOTE_CODE=1    allows the model's own Python code to run
#   VLLM_FLAGS="--data-parallel-size 4"   goes to vLLM as it is
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ $# -ge 3 && $2 == -- ]] || die 'usage: scripts/serve.sh MODEL -- COMMAND…'
model=$1
shift 2
[[ ! ${BASE_URL:-} ]] || BASE_URL=$BASE_URL exec "$@"
flags=(--model_path "$model" ${POOLING:+--pooling} ${TRUST_REMOTE_CODE:+--trust_remote_code})
if [[ ${DRY:-} ]]; then
  url=http://127.0.0.1:${PORT:-8000}
  printf 'python exp/serve_model.py --port %s%s &\n' "${PORT:-8000}" "$(printf ' %q' "${flags[@]}")"
  echo "until curl --silent --fail $url/health; do sleep 1; done"
  BASE_URL=$url/v1 "$@"
  echo 'kill $!; wait $!'
  exit
fi
log=${LOG:-$(mktemp)}
port=${PORT:-$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
set -m # every background job leads a process group of its own, so that it can be ended whole
server='' command=''

healthy() {
  local code
  exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && read -r _ code _ <&3 && [[ $code == 200 ]]
}
finish() { # each process group in turn: terminate it, give its leader 10 s, kill what is left
  for pid in $command $server; do
    kill -TERM -- "-$pid" && timeout 10 tail --pid="$pid" -f /dev/null || true
    kill -KILL -- "-$pid" || true
  done
} 2>/dev/null # job control would report every ended job
trap finish EXIT
trap 'exit 130' INT TERM HUP

printf '%(%T)T  serving %s on port %s, log %s\n' -1 "${model#"$PWD"/}" "$port" "${log#"$PWD"/}" >&2
"$python" "$root/exp/serve_model.py" --port "$port" "${flags[@]}" >>"$log" 2>&1 &
server=$!
until (healthy) 2>/dev/null; do
  if ! kill -0 "$server" 2>/dev/null; then
    grep -m 1 -E '([Ee]rror|Exception): ' "$log" >&2 || true # the first is the cause, the last ones its consequences
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
