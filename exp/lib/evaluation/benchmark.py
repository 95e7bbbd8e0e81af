"""What every benchmark does alike: read problems, sample answers, grade them.

A benchmark's own file (exp/eval_*.py) has its citation, its prompt and the shape of its problems.
All samples of all problems go into one queue and are kept as they finish, in `…_responses.json`
beside the result. A rerun asks for none of them again and grades them anew, in seconds and without
a model.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lib import models, rows
from lib.errors import UserError
from lib.grading import answers
from lib.inference import context, generate
from lib.inference.backends import Where
from lib.inference.endings import STOP, why_incomplete
from lib.inference.requests import Reply, Request, Sampling, user_turn
from lib.output import Output
from lib.progress import say, shown_path


@dataclass(frozen=True)
class Problem:
    """One problem as it is asked: `chat` is its messages, `source` its part of the benchmark."""

    id: str
    source: str
    original_id: str
    text: str
    gold: str
    chat: tuple[dict, ...]


@dataclass(frozen=True)
class Plan:
    """How a benchmark is asked; everything in it but `where` changes a sample.

    `create` builds it, so that its `sampling` is the one that is applied.
    """

    stage: str
    dataset: str
    model: models.Model
    model_type: str
    sampling: Sampling
    n_sampling: int
    seed: int
    where: Where

    @classmethod
    def create(
        cls,
        stage: str,
        dataset: str,
        model: models.Model,
        model_type: str,
        sampling: Sampling,
        n_sampling: int,
        seed: int,
        where: Where,
    ) -> "Plan":
        """The plan with `sampling` lowered to the model's limits, and the context that it needs.

        UserError for no sample at all, and for several samples that would all be the same.
        """
        sampling = generate.lower_to_limits(model, sampling)
        model, sampling = context.for_evaluation(model, sampling)
        if n_sampling < 1:
            raise UserError(f"--n_sampling {n_sampling}: at least 1 sample a problem")
        if n_sampling > 1 and sampling.temperature == 0:
            fault = f"--temperature 0 gives {n_sampling} times the same sample"
            raise UserError(f"{fault}; use 0.3, or --n_sampling 1")
        return cls(stage, dataset, model, model_type, sampling, n_sampling, seed, where)


def find_model(
    model_path: str, adapter_path: str = "", max_model_len: int | None = None
) -> models.Model:
    """The model with its adapter; `max_model_len` overrides its longest context."""
    model = models.find(model_path, adapter_path)
    if max_model_len is None:
        return model
    if max_model_len < 1:
        raise UserError(f"--max_model_len {max_model_len}: at least 1 token")
    return replace(model, max_model_len=max_model_len, longest_context=max_model_len)


def label(model_type: str) -> str:
    """A model's name as part of a file's name; UserError if it cannot be one."""
    if not re.fullmatch(r"[\w.+=-]+", model_type):
        allowed = "letters, digits and ._+=- only, it is part of a file's name"
        raise UserError(f"--model_type {model_type!r}: {allowed}")
    return model_type


def read(
    path: str, text_key: str, count: int | None = None, is_gold: Callable[[str], bool] = bool
) -> list[dict]:
    """The first `count` rows of a benchmark file, without those whose gold `is_gold` refuses.

    `text_key` is the key of a problem's text. What is left out is reported. UserError says
    FILE:LINE of a missing key, or that no gold is left.
    """
    if count is not None and count < 1:
        raise UserError(f"--num_problems {count}: at least 1 problem")
    placed_rows = rows.read_placed(path, need=(text_key, "answer"))
    if count is not None and count > len(placed_rows):
        raise UserError(f"--num_problems {count}: {path} has {len(placed_rows):,}")
    scorable_rows = []
    unparsable_golds = []
    for place, row in placed_rows[:count]:
        has_text = isinstance(row[text_key], str)
        has_text_id = isinstance(row.get("id", ""), str)
        if not has_text or not has_text_id:
            raise UserError(f"{place}: {text_key!r} and 'id' must be text")
        gold = str(row["answer"]).strip()
        if is_gold(gold):
            scorable_rows.append(row | {"answer": gold})
        else:
            unparsable_golds.append(f"{place}: unparsable gold {gold[:60]!r}")
    if unparsable_golds:
        first_gold = unparsable_golds[0]
        say(f"{first_gold}; {len(unparsable_golds):,} such rows are left out, not scored")
    if not scorable_rows:
        raise UserError(f"{path}: no row has a gold that can be scored")
    return scorable_rows


def make_problem(row: dict, text: str, gold: str, system: str, user: str) -> Problem:
    """The problem of a row whose `id`, `source_dataset` and `original_id` may be missing.

    `system` and `user` are the messages in which it is asked.
    """
    problem_id = row.get("id") or rows.row_id(text)
    source = row.get("source_dataset", "")
    original_id = str(row.get("original_id", ""))
    chat = tuple(user_turn(user, system))
    return Problem(problem_id, source, original_id, text, gold, chat)


def ask(
    result_path: Path, plan: Plan, problems: list[Problem], inputs: tuple[str, ...], overwrite: bool
) -> list[dict]:
    """The samples of all problems, `n_sampling` each, from `…_responses.json` beside the result.

    Those that are not there yet are asked for. A sample is dropped if its prompt is too long for
    the context, or if the server fails on it; then none of its problem is returned. If every sample
    is dropped, nothing is written and UserError says why.
    """
    distinct_ids = {problem.id for problem in problems}
    repeats = len(problems) - len(distinct_ids)
    if repeats:
        raise UserError(f"{', '.join(inputs)}: {repeats} problems are there twice")
    n_sampling = plan.n_sampling
    samples_path = str(result_path.with_name(f"{result_path.stem}_responses.json"))
    out = Output(samples_path, plan.stage, settings(plan, problems), inputs, overwrite)
    if out.finished:
        finished = f"{shown_path(samples_path)} is finished: {out.summary()}"
        say(f"{finished}; its samples are graded again")
        return of_whole_problems(rows.read(samples_path), n_sampling)
    generate.check_room(plan.model, plan.sampling)
    samples = "1 sample" if n_sampling == 1 else f"{n_sampling} samples"
    questions = f"{len(problems):,} problems of {plan.dataset}"
    say(f"{samples} of each of {questions} with {plan.model.name} -> {shown_path(samples_path)}")

    # The key of a sample numbers all samples, problem by problem.
    def make_request(key: int) -> Request:
        problem = problems[key // n_sampling]
        sample_seed = rows.derive_seed(plan.seed, key)
        return Request(key, list(problem.chat), plan.sampling, seed=sample_seed)

    def make_row(key: int, reply: Reply) -> tuple[dict, str | None]:
        problem = problems[key // n_sampling]
        row = {
            "id": problem.id,
            "sample": key % n_sampling,
            "source_dataset": problem.source,
            "original_id": problem.original_id,
            "problem": problem.text,
            "answer": problem.gold,
        }
        # An empty answer is not dropped: it is graded as no answer.
        completions, _ = generate.answers_of(reply)
        for completion in completions:  # one, or none if the prompt was refused
            row["response"] = completion.text
            row["finish_reason"] = completion.finish_reason
            row["tokens"] = reply.tokens
            row["prompt_tokens"] = reply.prompt_tokens
        return row, reply.refused or None

    keys = range(len(problems) * n_sampling)
    generate.ask_each(out, keys, plan.model, plan.where, make_request, make_row)
    return of_whole_problems(rows.read(samples_path), n_sampling)


def of_whole_problems(samples: list[dict], n_sampling: int) -> list[dict]:
    """The samples of problems that have all of theirs, so that every problem counts alike.

    UserError if there is no such problem.
    """
    sample_counts = Counter(sample["id"] for sample in samples)
    whole = [sample for sample in samples if sample_counts[sample["id"]] == n_sampling]
    if not whole:
        raise UserError(f"no problem has all of its {n_sampling} samples: nothing can be scored")
    return whole


def settings(plan: Plan, problems: list[Problem]) -> dict:
    """Everything that changes a sample, as remembered beside the samples."""
    return {
        "model": models.identity(plan.model),
        **asdict(plan.sampling),
        "n_sampling": plan.n_sampling,
        "seed": plan.seed,
        "prompt": prompt_hash(problems),
        "problems": problem_hash(problems),
    }


def problem_hash(problems: list[Problem]) -> str:
    """A hash of which problems are asked in which order: the seeds of the samples go by that."""
    problem_ids = [problem.id for problem in problems]
    return rows.row_id(*problem_ids)


def prompt_hash(problems: list[Problem]) -> str:
    """A hash of what is asked beside the problems themselves.

    It is the same for two runs that can be compared.
    """
    templates = {_template(problem) for problem in problems}
    messages = []
    for template in sorted(templates):
        messages += [f"{role}:{content}" for role, content in template]
    return rows.row_id(*messages)


def _template(problem: Problem) -> tuple[tuple[str, str], ...]:
    """The (role, content) messages of a problem without its own text."""
    template = []
    for message in problem.chat:
        content = message["content"].replace(problem.text, "{problem}")
        template.append((message["role"], content))
    return tuple(template)


def grade(sample: dict) -> dict:
    """A sample with its lenient `verdict`, and `correct_strict`."""
    strict_grade = answers.grade(sample["response"], sample["answer"], strict=True)
    return sample | verdict(sample) | {"correct_strict": strict_grade.correct}


def verdict(row: dict, strict: bool = False) -> dict:
    """`correct`, `extracted`, `how` and `why` of a row's `response`.

    A response that is not complete is read strictly: the last number of a text that was cut off is
    a step and no answer. Unless it states the right one, `why` says how it ended: `truncated`, or
    another finish reason. A row without `finish_reason` is of an unknown end, and read as complete.
    """
    incomplete = why_incomplete(row.get("finish_reason", STOP))
    graded = answers.grade(row["response"], row["answer"], strict or bool(incomplete))
    why = graded.why
    if incomplete and not graded.correct:
        why = incomplete
    return {
        "correct": graded.correct,
        "extracted": graded.extracted,
        "how": graded.how,
        "why": why,
    }
