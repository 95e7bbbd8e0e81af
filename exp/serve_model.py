"""Serve one model on 127.0.0.1 by vLLM's OpenAI-compatible server, with its facts from configs/models.yaml.

in    a model               a number or name of configs/models.yaml, a folder or a hub name
out   a server              /health, /v1/models, /v1/chat/completions, /v1/completions; for a reward model /classify
      python exp/serve_model.py --model_path data/models/tiny --port 8000

With --adapter_path a LoRA adapter is served too, unmerged, under its folder's name. Drivers start it through scripts/serve.sh,
which waits until it is healthy. Extra flags for vLLM go into VLLM_FLAGS.
"""

import ctypes
import os
import shlex
import signal
import socket
import sys
from pathlib import Path

from lib import cli, models
from lib.errors import UserError
from lib.inference import vllm_engine
from lib.progress import say


def flags(model: models.Model, port: int, pooling: bool, trust_remote_code: bool) -> list[str]:
    """The flags of vLLM's server for a model's facts."""
    names = dict.fromkeys([model.path, Path(model.path).name])
    found = [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--model",
        model.path,
        "--served-model-name",
        *names,
    ]
    found += ["--dtype", model.dtype, "--tensor-parallel-size", str(model.tensor_parallel_size)]
    found += [
        "--gpu-memory-utilization",
        str(model.gpu_memory_utilization),
        "--generation-config",
        "vllm",
    ]
    found += ["--max-model-len", str(model.max_model_len)] if model.max_model_len else []
    found += ["--runner", "pooling"] if pooling else []
    found += (
        ["--distributed-executor-backend", "uni", "--no-enable-chunked-prefill"]
        if vllm_engine.on_cpu()
        else []
    )
    found += ["--enforce-eager"] if model.enforce_eager else []
    lora = ["--enable-lora", "--max-lora-rank", str(model.lora_rank)] if model.adapter else []
    found += [*lora, "--lora-modules", f"{model.name}={model.adapter}"] if lora else []
    found += ["--trust-remote-code"] if trust_remote_code else []
    return (
        found + ["--uvicorn-log-level", "warning"] + shlex.split(os.environ.get("VLLM_FLAGS", ""))
    )


def _die_with_parent() -> None:
    """On Linux: a server whose driver was killed outright ends too, instead of holding the GPU for ever."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def main(
    model_path: str,
    port: int,
    adapter_path: str = "",
    pooling: bool = False,
    trust_remote_code: bool = False,
):
    model = models.find(model_path, adapter_path)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as e:
            raise UserError(
                f"port {port} cannot be used: {e.strerror if isinstance(e, OSError) else e}"
            ) from None
    say(f"serving {model.name} on http://127.0.0.1:{port}/v1")
    if model.runner == "transformers":
        if not trust_remote_code:
            raise UserError(
                f"{model.path} is scored by Python code of its own; --trust_remote_code allows that"
            )
        from lib.inference.reward_engine import serve

        serve(model, port, trust_remote_code)
        return
    _die_with_parent()
    if vllm_engine.on_cpu():
        vllm_engine.set_up_cpu(
            model, share=vllm_engine.cores() - 1
        )  # one core is left to the HTTP side
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    os.execv(
        command[0],
        command + flags(model, port, pooling or model.runner == "pooling", trust_remote_code),
    )


if __name__ == "__main__":
    cli.run(main)
