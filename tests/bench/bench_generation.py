"""Measure what a stage costs over the bare engine: its tokens/s over raw LLM.generate on the same prompts, in one run.

in    nothing: prompts come from lib/tiny/problems
out   stdout: a table of ratios; seconds on a shared machine mean little, ratios within one run do
      PYTHONPATH=exp python tests/bench/bench_generation.py --model_path data/models/tiny --prompts 1000 --rounds 3
"""

import random
import statistics
import tempfile
import time
from pathlib import Path

from lib import chat, cli, models, rows
from lib.inference import generate
from lib.inference.requests import Completion, Sampling
from lib.inference.vllm_engine import VllmEngine
from lib.output import Output
from lib.progress import say
from lib.tiny import problems


class LoadedBackend(generate.Backend):
    """A backend whose engine is loaded already and stays open for the next round."""

    def load(self, model: models.Model) -> VllmEngine:
        return _ENGINES[model.path]


_ENGINES: dict[str, VllmEngine] = {}


def raw(engine: VllmEngine, questions: list[dict], sampling: Sampling) -> tuple[float, int]:
    """(seconds, tokens) of one call of LLM.generate with the prompts and seeds that the stage would use."""
    from vllm import SamplingParams

    start = time.monotonic()
    chats = [[{"role": "user", "content": q["instruction"]}] for q in questions]
    prompts = [
        {"prompt_token_ids": chat.encode(engine.tokenizer, chat.render(engine.tokenizer, c))}
        for c in chats
    ]
    params = [SamplingParams(n=sampling.n, temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_tokens,
                             seed=rows.derive_seed(0, i)) for i in range(len(prompts))]  # fmt: skip
    outputs = engine.llm.generate(prompts, params, use_tqdm=False)
    return time.monotonic() - start, sum(len(o.token_ids) for out in outputs for o in out.outputs)


def stage(
    model: models.Model, questions: list[dict], sampling: Sampling, folder: Path
) -> tuple[float, int]:
    """(seconds, tokens) of the stages' own loop, files and all."""

    def columns(completions: tuple[Completion, ...]) -> dict:
        return {
            "responses": [c.text for c in completions],
            "finish_reasons": [c.finish_reason for c in completions],
        }

    out = Output(str(folder / "out.json"), "bench", {}, overwrite=True)
    start = time.monotonic()
    generate.answer(out, questions, model, sampling, 0, LoadedBackend(), columns)
    return time.monotonic() - start, out.meta["tokens"]


def main(model_path: str, prompts: int = 1000, rounds: int = 3, max_tokens: int = 128):
    model = models.find(model_path)
    rng = random.Random(0)
    pool = [
        {"instruction": problems.make(rng.choice(problems.DOMAINS), rng).question}
        for _ in range(prompts)
    ]
    say(f"{rounds} rounds of {prompts} prompts, raw and stage in turn, with {model.name}")
    engine = VllmEngine(model)
    close, engine.close = engine.close, lambda: None
    _ENGINES[model.path] = engine
    lines = [
        "| answers a row | raw tokens/s | stage tokens/s | stage / raw | overhead a row |",
        "| --: | --: | --: | --: | --: |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for n in (1, 7):
            questions = pool[: prompts // n]  # as many answers in both
            sampling = generate.sampling(0.8, 0.95, max_tokens, n)
            raw(engine, pool[:16], sampling)  # warm up: first steps compile and page in
            bare, whole = [], []
            for _ in range(rounds):
                engine.llm.reset_prefix_cache()
                bare.append(raw(engine, questions, sampling))
                engine.llm.reset_prefix_cache()
                whole.append(stage(model, questions, sampling, Path(folder)))
            speeds = [
                statistics.median(tokens / seconds for seconds, tokens in runs)
                for runs in (bare, whole)
            ]
            ratio = statistics.median(
                (t / s) / (u / r) for (s, t), (r, u) in zip(whole, bare, strict=True)
            )
            extra = statistics.median(
                (s - r) / len(questions) * 1000 for (s, _), (r, _) in zip(whole, bare, strict=True)
            )
            lines.append(
                f"| {n} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {ratio:.2f} | {extra:.2f} ms |"
            )
    print("\n".join(lines))
    close()


if __name__ == "__main__":
    cli.run(main)
