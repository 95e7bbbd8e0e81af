"""Serve one model on 127.0.0.1 by vLLM's OpenAI-compatible server.

in    a model     a number or name of configs/models.yaml, a folder or a hub name
out   a server    /health, /v1/models, /v1/chat/completions, /v1/completions;
                  for a reward model /classify, or /pooling if its head is computed by its client
      python exp/serve_model.py --model_path data/models/tiny --port 8000

The server's flags are the model's facts in configs/models.yaml; extra ones go into VLLM_FLAGS. With
--adapter_path a LoRA adapter is served too, unmerged, under its folder's name. Drivers start the
server through scripts/serve.sh, which waits until it is healthy.
"""

import ctypes
import json
import os
import shlex
import signal
import socket
import sys
from pathlib import Path

from lib import cli, models, parallel
from lib.errors import UserError
from lib.inference import gpus, memory, vllm_engine
from lib.models import Model
from lib.progress import say

HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent dies


def server_flags(model: Model, port: int, trust_remote_code: bool) -> list[str]:
    """The flags of vLLM's server for a model's facts; those in VLLM_FLAGS come last and win."""
    flags = ["--host", HOST, "--port", str(port)]
    flags += ["--model", model.path, "--served-model-name", *served_names(model)]
    flags += engine_flags(model)
    if model.runner == "pooling":
        flags += pooling_flags(model, trust_remote_code)
    if vllm_engine.on_cpu():
        flags += ["--distributed-executor-backend", "uni", "--no-enable-chunked-prefill"]
    if model.enforce_eager:
        flags += ["--enforce-eager"]
    if model.adapter:
        flags += ["--enable-lora", "--max-lora-rank", str(model.lora_rank)]
        flags += ["--lora-modules", f"{model.name}={model.adapter}"]
    if trust_remote_code:
        flags += ["--trust-remote-code"]
    flags += ["--uvicorn-log-level", "warning"]
    return flags + shlex.split(os.environ.get("VLLM_FLAGS", ""))


def pooling_flags(model: Model, trust_remote_code: bool) -> list[str]:
    """How a reward model is served; vLLM is told of its backbone if its head is computed here."""
    from lib.inference import reward_heads

    flags = ["--runner", "pooling"]
    head = reward_heads.load(model, trust_remote_code)
    if head:
        reward_heads.add_plugin()
        flags += ["--convert", "embed", "--pooler-config", json.dumps(head.pooler_config())]
    return flags


def served_names(model: Model) -> list[str]:
    """What a client may call the model: its path, and the path's last part if that is another."""
    last_part = Path(model.path).name
    return [model.path] if last_part == model.path else [model.path, last_part]


def engine_flags(model: Model) -> list[str]:
    """How the weights are loaded, and the longest context if the facts limit it."""
    gpu_count = memory.tensor_parallel_size(model, gpus.visible())
    flags = ["--dtype", model.dtype, "--tensor-parallel-size", str(gpu_count)]
    flags += ["--gpu-memory-utilization", str(model.gpu_memory_utilization)]
    # vLLM's own sampling defaults, as in the offline engine, and not those that the model ships.
    flags += ["--generation-config", "vllm"]
    if model.max_model_len:
        flags += ["--max-model-len", str(model.max_model_len)]
    return flags


def check_port(port: int) -> None:
    """UserError if the port is taken, or none at all."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as e:
            raise UserError(f"port {port} cannot be used: {e.strerror}") from None
        except OverflowError as e:
            raise UserError(f"port {port} cannot be used: {e}") from None


def end_with_parent() -> None:
    """On Linux a server whose driver was killed outright ends too and frees the GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def become_vllm_server(flags: list[str]) -> None:
    """Replace this process by vLLM's server, so that a signal to this pid reaches it."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags]
    os.execv(command[0], command)


def main(
    model_path: str,
    port: int,
    adapter_path: str = "",
    pooling: bool = False,
    trust_remote_code: bool = False,
):
    model = models.find(model_path, adapter_path)
    if pooling or model.runner != "generate":
        from lib.inference import reward_engine

        model = reward_engine.with_runner(model, trust_remote_code)
    check_port(port)
    say(f"serving {model.name} on http://{HOST}:{port}/v1")
    if model.runner == "transformers":
        reward_engine.serve(model, port, trust_remote_code)
        return
    end_with_parent()
    if vllm_engine.on_cpu():
        # One core is left to the process that answers HTTP.
        vllm_engine.set_up_cpu(model, threads=parallel.cores() - 1)
    become_vllm_server(server_flags(model, port, trust_remote_code))


if __name__ == "__main__":
    cli.run(main)
