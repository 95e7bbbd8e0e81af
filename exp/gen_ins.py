"""Let the model itself invent problems of one domain, from the first tokens of its chat format.

in    nothing, or the model's own imagination
out   algebra_ins.json       id, instruction, domain
      python exp/gen_ins.py --model_path data/models/tiny --domain algebra --total_prompts 20 \\
          --save_path data/demo/algebra_ins.json --control_tasks math --temperature 1.0 \\
          --max_tokens 128

The pre-query prompt is the model's own chat template with the domain's system prompt, cut where the
user's words begin (Magpie, arXiv 2406.08464). Unusable and repeated generations are dropped with a
reason and replaced, with at most 4 attempts for each problem that is asked for. If these give fewer
problems but at least --min_rows (half of them by default), the file is finished with what there is.
Another --total_prompts goes on with a finished file, or cuts it to its first problems.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from lib import chat, cli, light_tokenizer, models, progress, provenance, rows
from lib.errors import Shortfall, UserError, near
from lib.inference import generate
from lib.inference.backends import Where
from lib.inference.requests import TOO_LONG, Reply, Request, Sampling
from lib.output import Output
from lib.progress import say
from lib.quality import rules, wording

ATTEMPTS_PER_ROW = 4
CONTROL_TASKS = ("math",)


class DistinctTexts:
    """The texts seen so far, compared without regard to white space and Unicode form."""

    def __init__(self):
        self._seen: set[str] = set()

    def add(self, text: str) -> bool:
        """Whether the text is new; it is remembered."""
        text = wording.normalised(text)
        is_new = text not in self._seen
        self._seen.add(text)
        return is_new


class Attempts:
    """Counts the attempts at `wanted` distinct problems; every failed one is replaced at once.

    So the attempts are 0..M-1 for the smallest M that holds `wanted` good ones, whatever the order
    in which they finish, and every run makes the same file.
    """

    def __init__(self, out: Output, wanted: int):
        self.out, self.wanted = out, wanted
        self.limit = ATTEMPTS_PER_ROW * wanted
        self.asked = self._asked_by_now()
        out.forget_from(self.asked)
        self.distinct = DistinctTexts()
        self.good = 0
        for _, row, reason in out.records():
            self._count(row["instruction"], reason)

    def _asked_by_now(self) -> int:
        """How many attempts the finished ones call for; a run for more problems made others too."""
        distinct = DistinctTexts()
        asked = self.wanted
        for attempt, row, reason in self.out.records():
            if attempt >= asked:
                break
            is_failed = reason is not None or not distinct.add(row["instruction"])
            asked = min(asked + is_failed, self.limit)
        return asked

    def is_over(self) -> bool:
        """Whether an earlier session has finished all the attempts there may be."""
        return self.good >= self.wanted or len(self.out) >= self.limit

    def unfinished(self) -> Iterator[int]:
        return (attempt for attempt in range(self.asked) if attempt not in self.out)

    def add(self, attempt: int, row: dict, reason: str | None) -> int | None:
        """Write the row of an attempt; returns the number of the one that replaces it, if any."""
        self.out.add(attempt, row, reason)
        if self._count(row["instruction"], reason) or self.asked == self.limit:
            return None
        self.asked += 1
        return self.asked - 1

    def _count(self, text: str, reason: str | None) -> bool:
        is_good = reason is None and self.distinct.add(text)
        self.good += is_good
        return is_good

    def shortfall(self) -> str:
        """`only 3 of 5 problems after 20 attempts: 17 dropped (17 repeated)`."""
        dropped = Counter(self.out.dropped)
        dropped["repeated"] += self.out.kept - self.good
        dropped += Counter()  # without reasons that no row has
        attempts = f"after {len(self.out):,} attempts"
        problems = f"only {self.good:,} of {self.wanted:,} problems {attempts}"
        return f"{problems}: {progress.reasons(dropped)}"


def pre_query_request(model: models.Model, system_prompt: str, where: Where) -> dict:
    """The prompt that every attempt starts from, and what ends a user's turn, as Request fields."""
    try:
        tokenizer = light_tokenizer.load(model.path, where.trust_remote_code)
        text = chat.pre_query(tokenizer, system_prompt)
        token_ids = chat.stop_token_ids(tokenizer, chat.generation_config(model.path))
        strings = chat.stop_strings(tokenizer)
    except ValueError as e:
        raise UserError(str(e)) from None
    return {
        "prompt": chat.encode(tokenizer, text),
        "text": without_bos(tokenizer, text),
        "stop": tuple(strings),
        "stop_token_ids": tuple(token_ids),
    }


def without_bos(tokenizer, text: str) -> str:
    """The text without the BOS that it may begin with: a server that takes text writes its own."""
    for token in tokenizer.all_special_tokens:
        if tokenizer.convert_tokens_to_ids(token) == tokenizer.bos_token_id:
            return text.removeprefix(token)
    return text


def main(
    model_path: str,
    save_path: str,
    total_prompts: int,
    domain: str,
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=1024),
    control_tasks: str = "math",
    seed: int = 0,
    min_rows: int | None = None,
    where: Where = Where(),
    overwrite: bool = False,
):
    if control_tasks not in CONTROL_TASKS:
        hint = near(control_tasks, CONTROL_TASKS)
        raise UserError(f"no control task {control_tasks!r}; {hint}")
    if total_prompts < 1:
        raise UserError(f"--total_prompts {total_prompts}: at least 1 row must be asked for")
    if min_rows is None:
        min_rows = math.ceil(total_prompts / 2)
    if not 1 <= min_rows <= total_prompts:
        raise UserError(f"--min_rows {min_rows}: from 1 to --total_prompts {total_prompts}")
    model = models.find(model_path)
    system_prompt = models.domain(model, domain).system_prompt
    typed, sampling = sampling, generate.limited(model, sampling, kind="ins")
    settings = {"model": models.identity(model), "domain": domain, "system_prompt": system_prompt}
    settings |= {"total_prompts": total_prompts, **asdict(sampling), "seed": seed}
    adjustable = ("total_prompts",)
    out = Output(save_path, "gen_ins", settings, overwrite=overwrite, adjustable=adjustable)
    if out.announce(f"{total_prompts:,} {domain} problems with {model.name}"):
        return
    generate.report_lowered(model, typed, sampling)
    generate.check_room(model, sampling)
    out.open(provenance.notes(where.engine), total=total_prompts)
    attempts = Attempts(out, total_prompts)
    if not attempts.is_over():
        start = pre_query_request(model, system_prompt, where)

        def make_request(attempt: int) -> Request:
            request_seed = rows.derive_seed(seed, attempt, domain)
            return Request(attempt, sampling=sampling, seed=request_seed, **start)

        def accept(reply: Reply) -> list[Request]:
            if reply.refused == TOO_LONG:
                prompt = f"the pre-query prompt and --max_tokens {sampling.max_tokens}"
                raise UserError(f"{prompt} do not fit the context of {model.name}")
            problem, reason = "", reply.refused
            for completion in reply.completions:  # one, or none if the server failed on it
                problem = completion.text.strip()
                reason = rules.reason_to_drop(problem, completion.finish_reason)
            row = {"id": rows.row_id(domain, problem), "instruction": problem, "domain": domain}
            replacement = attempts.add(reply.key, row, reason)
            return [] if replacement is None else [make_request(replacement)]

        first_requests = map(make_request, attempts.unfinished())
        generate.run(out, model, where, first_requests, accept, total_prompts)

    if attempts.good < min_rows:
        advice = "ask for fewer, lower --min_rows, or change the temperature and --overwrite"
        raise Shortfall(f"{save_path}: {attempts.shortfall()}; {advice}")
    out.meta |= {"asked": total_prompts, "made": attempts.good}
    kept = DistinctTexts()
    out.finish(len(out), check=lambda row: None if kept.add(row["instruction"]) else "repeated")
    out.done()
    if attempts.good < total_prompts:
        say(f"short: {attempts.shortfall()}; --total_prompts asks for more or fewer")


if __name__ == "__main__":
    cli.run(main)
