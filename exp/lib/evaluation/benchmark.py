"""What every benchmark does alike: all samples of all problems in one queue, each kept as it comes; then grades and metrics.

A benchmark's own file (exp/eval_*.py) has its citation, its prompt and the shape of its problems. The samples stay beside the
result in `…_responses.json`: a rerun asks for none of them again and grades them anew, in seconds and without a model.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lib import models, progress, rows
from lib.errors import UserError
from lib.grading import answers
from lib.inference import generate
from lib.inference.requests import Reply, Request
from lib.output import Output
from lib.progress import say


@dataclass(frozen=True)
class Problem:
    """One problem as it is asked: `chat` is its messages, `gold` its answer, `source` the part of the benchmark it is from."""

    id: str
    source: str
    original_id: str
    text: str
    gold: str
    chat: tuple[dict, ...]


@dataclass(frozen=True)
class Plan:
    """How a benchmark is asked; everything in it but the backend changes a sample."""

    stage: str
    dataset: str
    model: models.Model
    model_type: str
    temperature: float
    top_p: float
    max_tokens: int
    n_sampling: int
    seed: int
    backend: generate.Backend

    def __post_init__(self):
        asked = generate.sampling(self.temperature, self.top_p, self.max_tokens)
        limited = generate.limited(self.model, "res", asked)  # what a result says is what was asked
        object.__setattr__(self, "temperature", limited.temperature)
        object.__setattr__(self, "max_tokens", limited.max_tokens)
        if self.n_sampling < 1:
            raise UserError(f"--n_sampling {self.n_sampling}: at least 1 sample a problem")
        if self.n_sampling > 1 and self.temperature == 0:
            raise UserError(
                f"--temperature 0 gives {self.n_sampling} times the same sample; use 0.3, or --n_sampling 1"
            )


def read(
    path: str, text_key: str, count: int | None = None, is_gold: Callable[[str], bool] = bool
) -> list[dict]:
    """The first `count` rows of a benchmark file, each with a gold that `is_gold` accepts; the others are said and left out.

    UserError for a missing key, with FILE:LINE, and where no gold is left.
    """
    if count is not None and count < 1:
        raise UserError(f"--num_problems {count}: at least 1 problem")
    found = [
        (p, row | {"answer": str(row["answer"]).strip()})
        for p, row in rows.read_placed(path, need=(text_key, "answer"))
    ][:count]
    for place, row in found:
        if not isinstance(row[text_key], str) or not isinstance(row.get("id", ""), str):
            raise UserError(f"{place}: {text_key!r} and 'id' must be text")
    if count is not None and count > len(found):
        raise UserError(f"--num_problems {count}: {path} has {len(found):,}")
    bad = [
        f"{place}: unparsable gold {row['answer'][:60]!r}"
        for place, row in found
        if not is_gold(row["answer"])
    ]
    if bad:
        say(f"{bad[0]}; {len(bad):,} such rows are left out, not scored")
    if len(bad) == len(found):
        raise UserError(f"{path}: no row has a gold that can be scored")
    return [row for _, row in found if is_gold(row["answer"])]


def problem(row: dict, text: str, gold: str, chat: tuple[dict, ...]) -> Problem:
    """The problem of a prepared row, whose `id`, `source_dataset` and `original_id` may be missing."""
    id, source = row.get("id") or rows.row_id(text), row.get("source_dataset", "")
    return Problem(id, source, str(row.get("original_id", "")), text, gold, chat)


def label(model_type: str) -> str:
    """A model's name as part of a file's name; UserError where it cannot be one."""
    if not re.fullmatch(r"[\w.+=-]+", model_type):
        raise UserError(
            f"--model_type {model_type!r}: letters, digits and ._+=- only, it is part of a file's name"
        )
    return model_type


def ask(
    result_path: Path, plan: Plan, problems: list[Problem], inputs: tuple[str, ...], overwrite: bool
) -> list[dict]:
    """Sample every problem `n_sampling` times into `…_responses.json` beside the result, one row a sample, and return the rows.

    Each is kept as it comes: after a kill finished ones are not asked for again. A prompt too long for the context is dropped.
    """
    repeated = len(problems) - len({p.id for p in problems})
    if repeated:
        raise UserError(f"{', '.join(inputs)}: {repeated} problems are there twice")
    path = str(result_path.with_name(f"{result_path.stem}_responses.json"))
    n, prompts = plan.n_sampling, prompt_hash(problems)
    settings = {
        "model": models.identity(plan.model),
        "temperature": plan.temperature,
        "top_p": plan.top_p,
    }
    settings |= {
        "max_tokens": plan.max_tokens,
        "n_sampling": n,
        "seed": plan.seed,
        "prompt": prompts,
        "problems": problem_hash(problems),
    }
    out = Output(path, plan.stage, settings, inputs, overwrite)
    if out.finished:
        say(f"{path} is finished: {out.summary()}; its samples are graded again")
        return rows.read(path)
    say(
        f"{n} sample{'s' * (n > 1)} of each of {len(problems):,} problems of {plan.dataset} with {plan.model.name} -> {path}"
    )
    asked = generate.sampling(plan.temperature, plan.top_p, plan.max_tokens)
    if plan.model.max_model_len and plan.max_tokens >= plan.model.max_model_len:
        raise UserError(f"--max_tokens {plan.max_tokens} leaves no room for a prompt in the context of "
                            f"{plan.model.max_model_len} tokens; lower it, or raise --max_model_len")  # fmt: skip
    out.open(provenance.notes(plan.backend))

    def request(key: int) -> Request:
        return Request(key, list(problems[key // n].chat), asked, rows.derive_seed(plan.seed, key))

    def accept(reply: Reply) -> tuple:
        problem, sample = problems[reply.key // n], reply.key % n
        row = {
            "id": problem.id,
            "sample": sample,
            "source_dataset": problem.source,
            "original_id": problem.original_id,
        }
        row |= {"problem": problem.text, "answer": problem.gold}
        if not reply.refused:
            (only,) = (generate.with_opening_tag(c, plan.model.think) for c in reply.completions)
            row |= {"response": only.text.strip(), "finish_reason": only.finish_reason}
            row |= {"tokens": reply.tokens, "prompt_tokens": reply.prompt_tokens}
        out.add(reply.key, row, reply.refused or None)
        return ()

    total = len(problems) * n
    generate.run(out, lambda: plan.backend.load(plan.model), (request(k) for k in range(total) if k not in out), accept, total,
                 plan.backend.batch_size)  # fmt: skip
    if out.dropped.total() == total:
        raise UserError(
            f"{out.path}: no sample is left: {progress.reasons(out.dropped)}; nothing is written"
        )
    out.finish(total)
    out.done()
    return rows.read(path)


def problem_hash(problems: list[Problem]) -> str:
    """Which problems are asked, and in which order: the seeds of the samples go by that."""
    return rows.row_id(*(p.id for p in problems))


def prompt_hash(problems: list[Problem]) -> str:
    """What is asked beside the problems themselves: the same for two runs that can be compared."""
    frames = {
        tuple((m["role"], m["content"].replace(p.text, "{problem}")) for m in p.chat)
        for p in problems
    }
    return rows.row_id(
        *(f"{role}:{content}" for frame in sorted(frames) for role, content in frame)
    )


def verdict(row: dict, strict: bool = False) -> dict:
    """`correct`, `extracted`, `how` and `why` of a row's `response`; of a truncated one only a stated answer counts.

    The last number of a text that was cut off is a step and no answer.
    """
    cut = row.get("finish_reason") == "length"
    found = answers.grade(row["response"], row["answer"], strict or cut)
    why = "truncated" if cut and not found.correct else found.why
    return {"correct": found.correct, "extracted": found.extracted, "how": found.how, "why": why}


def grade(row: dict) -> dict:
    """A sample with its lenient `verdict`, and `correct_strict`."""
    return (
        row
        | verdict(row)
        | {"correct_strict": answers.grade(row["response"], row["answer"], strict=True).correct}
    )


def prepared(
    model_path: str, adapter_path: str = "", max_model_len: int | None = None
) -> models.Model:
    """The model, its adapter, and a context of another length than configs/models.yaml says."""
    model = models.find(model_path, adapter_path)
    if max_model_len is not None and max_model_len < 1:
        raise UserError(f"--max_model_len {max_model_len}: at least 1 token")
    return replace(model, max_model_len=max_model_len) if max_model_len else model
