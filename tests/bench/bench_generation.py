"""Measure what a stage costs over the bare engine: its tokens/s over raw LLM.generate, in one run.

in    nothing: prompts are procedural problems
out   stdout: a table of ratios; seconds on a shared machine mean little, ratios within one run do
      PYTHONPATH=exp python tests/bench/bench_generation.py --model_path data/models/tiny --prompts 1000 --rounds 3
"""

import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lib import chat, cli, models, rows, tables
from lib.inference import generate
from lib.inference.backends import Where
from lib.inference.requests import Reply, Request, Sampling, user_turn
from lib.inference.vllm_engine import VllmEngine
from lib.output import Output
from lib.progress import say
from lib.tiny import problems


class OpenEngine:
    """The loaded engine for one more round: a stage may not close it."""

    def __init__(self, engine: VllmEngine):
        self.engine = engine
        self.most_in_flight = engine.most_in_flight

    @property
    def pending(self) -> int:
        return self.engine.pending

    def submit(self, request: Request) -> None:
        self.engine.submit(request)

    def poll(self) -> list[Reply]:
        return self.engine.poll()

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Loaded(Where):
    """Where an engine is that has been loaded already."""

    loaded: VllmEngine | None = None

    def load(self, model: models.Model) -> OpenEngine:
        return OpenEngine(self.loaded)


@dataclass(frozen=True)
class Timing:
    seconds: float
    tokens: int

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


def time_raw(engine: VllmEngine, questions: list[str], sampling: Sampling, samples: int) -> Timing:
    """One call of LLM.generate with the prompts and seeds that the stage would use."""
    from vllm import SamplingParams

    start = time.monotonic()
    prompts, parameters = [], []
    for key, question in enumerate(questions):
        text = chat.render(engine.tokenizer, user_turn(question))
        prompts.append({"prompt_token_ids": chat.encode(engine.tokenizer, text)})
        parameters.append(
            SamplingParams(
                n=samples,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_tokens,
                seed=rows.derive_seed(0, key),
            )
        )
    outputs = engine.llm.generate(prompts, parameters, use_tqdm=False)
    tokens = sum(len(sample.token_ids) for output in outputs for sample in output.outputs)
    return Timing(time.monotonic() - start, tokens)


def time_stage(
    model: models.Model,
    engine: VllmEngine,
    questions: list[str],
    sampling: Sampling,
    samples: int,
    folder: Path,
) -> Timing:
    """The stages' own loop, files and all."""

    def make_request(key: int) -> Request:
        prompt = user_turn(questions[key])
        return Request(key, prompt, sampling, samples, seed=rows.derive_seed(0, key))

    def make_row(key: int, reply: Reply) -> tuple[dict, str | None]:
        completions, why = generate.answers_of(reply)
        return {"responses": [completion.text for completion in completions]}, why

    out = Output(str(folder / "out.json"), "bench", {}, overwrite=True)
    start = time.monotonic()
    where = Loaded(loaded=engine)
    generate.ask_each(out, range(len(questions)), model, where, make_request, make_row)
    return Timing(time.monotonic() - start, out.meta["tokens"])


def main(model_path: str, prompts: int = 1000, rounds: int = 3, max_tokens: int = 128):
    model = models.find(model_path)
    rng = random.Random(0)
    domains = [rng.choice(problems.DOMAINS) for _ in range(prompts)]
    questions = [problems.make(domain, rng).question for domain in domains]
    say(f"{rounds} rounds of {prompts} prompts, raw and stage in turn, with {model.name}")
    engine = VllmEngine(model)
    sampling = Sampling(0.8, 0.95, max_tokens)
    titles = ("answers a row", "raw tokens/s", "stage tokens/s", "stage / raw", "overhead ms/row")
    table: dict[str, list[str]] = {title: [] for title in titles}
    with tempfile.TemporaryDirectory() as folder:
        for samples in (1, 7):
            # The first steps compile and page in: warm up before the clock runs.
            time_raw(engine, questions[:16], sampling, samples)
            some = questions[: prompts // samples]  # so that both rows make as many answers
            raw, stage = [], []
            for _ in range(rounds):
                engine.llm.reset_prefix_cache()
                raw.append(time_raw(engine, some, sampling, samples))
                engine.llm.reset_prefix_cache()
                timing = time_stage(model, engine, some, sampling, samples, Path(folder))
                stage.append(timing)
            ratios = [ours.rate / theirs.rate for ours, theirs in zip(stage, raw, strict=True)]
            extra = [ours.seconds - theirs.seconds for ours, theirs in zip(stage, raw, strict=True)]
            cells = (
                str(samples),
                f"{statistics.median(timing.rate for timing in raw):,.0f}",
                f"{statistics.median(timing.rate for timing in stage):,.0f}",
                f"{statistics.median(ratios):.2f}",
                f"{1000 * statistics.median(extra) / len(some):.2f}",
            )
            for title, cell in zip(titles, cells, strict=True):
                table[title].append(cell)
    engine.close()
    print("\n".join(tables.markdown(table)))


if __name__ == "__main__":
    cli.run(main)
