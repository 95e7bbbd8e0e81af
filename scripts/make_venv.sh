#!/usr/bin/env bash
# The environment from one lock: torch first and by itself, then everything pinned, without its dependencies' opinions.
#
#   scripts/make_venv.sh requirements/cpu.txt python3.11
#
# TORCH_INDEX=https://…  index of the torch wheels. On a CPU the index of small CPU wheels saves gigabytes: PyTorch's site names it.
set -euo pipefail
lock=$1 python=$2
command -v "$python" >/dev/null || {
  echo "setup: error: no $python here; install Python 3.11, or make setup PYTHON3=/path/to/python3.11" >&2
  exit 2
}
echo "setup: a new .venv from $lock (some minutes, a few GB)" >&2
rm -rf .venv
"$python" -m venv .venv
torch=$(grep '^torch==' "$lock")
.venv/bin/pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch"
# --no-deps: the lock is complete and was tried as a whole; single packages ask for builds that do not exist on a CPU.
grep -v '^torch==' "$lock" >.venv/rest.txt
.venv/bin/pip install --quiet --no-deps -r .venv/rest.txt
cp "$lock" .venv/.lock
echo "setup: done, $(wc -l <.venv/rest.txt) packages in $SECONDS s" >&2
