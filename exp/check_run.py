"""Check in seconds, before any model loads, that a generation run can work, and print its plan.

in    configs/models.yaml and the model's domains file
out   stdout: one line a domain, tabs between: domain, count, temperature and token limit of problems, of answers, model's name,
      reward model. stderr: what was checked and what the run will cost
      python exp/check_run.py --model 0 --domain algebra --count 20
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from lib import chat, cli, models, progress
from lib.errors import UserError
from lib.models import Domain, Model
from lib.progress import say
from lib.rows import ROOT

RESPONSES = 7
BYTES = {"float32": 4, "auto": 2, "bfloat16": 2, "float16": 2}


def plan(model: Model, domain: str, count: str, scale: float | None) -> list[tuple[Domain, int]]:
    """The domains to make and the problems of each: the seed's counts times the scale, or `count` for each."""
    chosen = [models.domain(model, domain)] if domain else list(models.domains(model).values())
    if count not in ("", "seed"):
        if not count.isascii() or not count.isdigit() or int(count) < 1:
            raise UserError(f"COUNT {count!r}: expected a whole number of at least 1")
        return [(d, int(count)) for d in chosen]
    scale = model.scale if scale is None else scale
    if scale <= 0:
        raise UserError(f"SCALE {scale:g}: expected a number above 0")
    return [(d, max(1, round(d.count * scale))) for d in chosen]


def gpus() -> list[float]:
    """Memory of each visible GPU in GiB, by nvidia-smi; none where there is no such command or no device."""
    try:
        query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        found = subprocess.run(query, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [float(line) / 1024 for line in found.stdout.split()] if found.returncode == 0 else []


def parameters_b(config: dict) -> float:
    """Billions of parameters of a decoder by its config.json: embeddings, attention (q, k, v, o) and gated MLPs, with experts."""
    c = config.get("text_config", config)
    try:
        width, layers, vocabulary, heads = (
            c[k] for k in ("hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads")
        )
    except KeyError as e:
        raise UserError(
            f"config.json has no {e}: add the model with its parameters_b to configs/models.yaml"
        ) from None
    head = c.get("head_dim") or width // heads
    attention = 2 * width * head * (heads + (c.get("num_key_value_heads") or heads))
    experts = c.get("num_experts") or c.get("num_local_experts") or c.get("n_routed_experts") or 1
    inner = (
        (c.get("moe_intermediate_size") if experts > 1 else None)
        or c.get("intermediate_size")
        or 4 * width
    )
    embeddings = (
        vocabulary
        * width
        * (1 if c.get("tie_word_embeddings", config.get("tie_word_embeddings")) else 2)
    )
    return (embeddings + layers * (attention + 3 * width * inner * experts)) / 1e9


def check_device(model: Model, devices: list[float], instead: str) -> str:
    """Enough GPU memory for the weights and a tenth more for the cache; returns what was found, in words.

    `instead` ends the message of a model that is too large for a machine without a GPU.
    """
    weights = (model.parameters_b or parameters_b(config_of(model))) * BYTES[model.dtype]
    if not devices:
        if (
            model.gpu and weights > 2
        ):  # 2 GB is what a laptop's CPU still reads fast enough to be of use
            raise UserError(
                f"{model.name} needs a GPU for {weights:.0f} GB of weights and this machine has none; {instead}"
            )
        return "CPU"
    tp = model.tensor_parallel_size
    if len(devices) < tp:
        raise UserError(
            f"{model.name} is set to {tp} GPUs (tensor_parallel_size) and this machine has {len(devices)}"
        )
    room = sum(devices[:tp]) * 1.0737 * model.gpu_memory_utilization
    if weights * 1.1 > room:
        raise UserError(
            f"{model.name} needs {weights * 1.1:.0f} GB of GPU memory ({weights:.0f} of weights, a tenth for the cache); "
            f"{tp} GPUs give {room:.0f}: raise tensor_parallel_size or take a smaller model"
        )
    return f"{tp} of {len(devices)} GPUs, {weights:.0f} of {room:.0f} GB for weights"


def config_of(model: Model) -> dict:
    """The model's config.json, from its folder, the hub's cache or the hub; UserError when it can be had nowhere."""
    if model.is_local:
        return json.loads((Path(model.path) / "config.json").read_bytes())
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    cached = try_to_load_from_cache(model.path, "config.json")
    if isinstance(cached, str):
        return json.loads(Path(cached).read_bytes())
    hub = urlsplit(constants.ENDPOINT)
    try:  # the hub's client tries for half a minute; whether there is a way at all shows in one connection
        socket.create_connection((hub.hostname, hub.port or 443), timeout=3).close()
        return json.loads(
            Path(hf_hub_download(model.path, "config.json", etag_timeout=5)).read_bytes()
        )
    except GatedRepoError:
        raise UserError(
            f"{model.path} is gated: accept its terms on the hub and set HF_TOKEN"
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as e:
        reason = " ".join(str(e).split())[:150]
        raise UserError(
            f"{model.path} is neither on this machine nor to be had from {hub.hostname}: {reason}"
        ) from None


def check_context(model: Model, chosen: list[tuple[Domain, int]]) -> None:
    """A problem and its answer must fit the context together."""
    for d, _ in chosen:
        ins, res = (min(x for x in pair if x) for pair in ((d.max_tokens_ins, model.max_tokens_ins),
                                                          (d.max_tokens_res, model.max_tokens_res)))  # fmt: skip
        if model.max_model_len and ins + res > model.max_model_len:
            raise UserError(f"{d.name}: {ins} tokens of problem and {res} of answer do not fit the context of "
                                f"{model.max_model_len} of {model.name}")  # fmt: skip


def check_template(model: Model, system_prompt: str, trust_remote_code: bool) -> str:
    """The pre-query prompt of the first domain, so that a template that cannot give one fails here."""
    try:
        tokenizer = chat.load_tokenizer(model.path, trust_remote_code)
        return chat.pre_query(tokenizer, system_prompt)
    except ValueError as e:
        raise UserError(str(e)) from None


def estimate(model: Model, chosen: list[tuple[Domain, int]]) -> str:
    """Tokens and hours with the arithmetic, at half of each token limit, which is where long answers come to lie."""
    tokens = 0
    for d, count in chosen:
        ins, res = min(d.max_tokens_ins, model.max_tokens_ins or d.max_tokens_ins), d.max_tokens_res
        res = min(res, model.max_tokens_res or res)
        tokens += count * (ins + (1 + RESPONSES) * res) / 2
    total = sum(count for _, count in chosen)
    line = f"{total:,} problems x (1 problem + 1 + {RESPONSES} answers) at half their token limits = {tokens:,.0f} tokens"
    if not model.tokens_s:
        return f"{line}; tokens/s of {model.name} unknown"
    return f"{line} / {model.tokens_s:,.0f} tokens/s = {progress.clock(tokens / model.tokens_s)}"


def check_disk_and_port(need_gb: float) -> None:
    """Room for the answers at full length and 4 bytes a token; the port, where one was asked for, is free."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < need_gb + 0.1:
        raise UserError(f"the run may write {need_gb:.1f} GB and {ROOT} has {free:.1f} GB free")
    if not os.access(ROOT / "data", os.W_OK):
        raise UserError(f"{ROOT / 'data'} is not writable")
    port = os.environ.get("PORT")
    if port:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", int(port)))
            except (OSError, ValueError, OverflowError):
                raise UserError(
                    f"PORT {port} cannot be used: it is taken, or no number; leave it out for a free one"
                ) from None


def main(
    model: str = "",
    menu: bool = False,
    domain: str = "",
    count: str = "",
    scale: float | None = None,
    reward_model: str = "",
    quick: bool = False,
    trust_remote_code: bool = False,
):
    if menu:
        print("\n".join(f"  {m.number}  {m.description}" for m in models.menu()))
        return
    if not model:
        raise UserError("missing --model; see --help")
    policy = models.find(model)
    judge = models.find(reward_model or policy.reward_model)
    chosen = plan(policy, domain, count, scale)
    if not quick:
        check_context(policy, chosen)
        devices = gpus()
        elsewhere = os.environ.get("POLICY_URL")
        where = elsewhere or check_device(
            policy, devices, "run model 0 (tiny) here, or set POLICY_URL to a server that has it"
        )
        say(
            f"{policy.name}: {', '.join(f'{d.name} {n:,}' for d, n in chosen)}; ranked by {judge.name}"
        )
        if not os.environ.get("REWARD_URL"):
            check_device(
                judge,
                devices,
                "choose another REWARD_MODEL, or set REWARD_URL to a server that has it",
            )
            if judge.runner == "transformers" and not trust_remote_code:
                raise UserError(f"{judge.path} ranks by Python code of its own repository: allow it with "
                                    "TRUST_REMOTE_CODE=1, or choose another with REWARD_MODEL=…")  # fmt: skip
            config_of(judge)
        if importlib.util.find_spec("vllm") is None and not elsewhere:
            raise UserError("vllm is not installed in this Python; run 'make setup'")
        config_of(policy)
        prompt = check_template(policy, chosen[0][0].system_prompt, trust_remote_code)
        check_disk_and_port(
            sum(n for _, n in chosen) * (1 + RESPONSES) * chosen[0][0].max_tokens_res * 4 / 1e9
        )
        say(f"runs on {where}; problems start from {json.dumps(prompt, ensure_ascii=False)}")
        say(estimate(policy, chosen))
    for d, n in chosen:
        print(d.name, n, d.ins_temperature, d.max_tokens_ins, d.res_temperature, d.max_tokens_res, policy.name, judge.path,
              sep="\t")  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
