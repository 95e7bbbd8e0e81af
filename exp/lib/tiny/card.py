"""How well the embedded model does, measured, and the model cards that say it."""

from collections import Counter

from lib.grading import answers
from lib.tiny import problems, recipe
from lib.tiny.problems import DOMAINS, Problem
from lib.tiny.truth import shows_work


def complete(model: object, tokenizer: object, prompts: list[str], temperature: float, seed: int = 0, n: int = 1,
             must_work: bool = False, max_tokens: int = 128, batch: int = 192) -> list[list[str]]:  # fmt: skip
    """`n` continuations of each prompt, greedy at temperature 0; "" for one without an end. `must_work` bars a direct answer."""
    import torch

    torch.manual_seed(seed)
    how: dict = (
        {"do_sample": True, "temperature": temperature, "top_k": 0}
        if temperature
        else {"do_sample": False}
    )
    if must_work:
        how["begin_suppress_tokens"] = [tokenizer.encode("The answer")[0]]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: list[list[str]] = [[] for _ in prompts]
    model.eval()
    for at in range(0, len(order), max(1, batch // n)):
        places = order[at : at + max(1, batch // n)]
        inputs = tokenizer(
            [prompts[i] for i in places],
            return_tensors="pt",
            padding=True,
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            output = model.generate(
                **inputs, **how, max_new_tokens=max_tokens, num_return_sequences=n
            )
        for k, ids in enumerate(output[:, inputs["input_ids"].shape[1] :].tolist()):
            whole = tokenizer.eos_token_id in ids
            text = tokenizer.decode(ids[: ids.index(tokenizer.eos_token_id)]) if whole else ""
            found[places[k // n]].append(text)
    model.train()
    return found


def is_right(problem: Problem, answer: str) -> bool:
    """Whether the answer states the problem's, for the one grader."""
    return answers.is_equal(answers.extract(answer, strict=True), str(problem.answer))


def working_out(model: object, tokenizer: object, asked: list[Problem]) -> float:
    """The share right when greedy decoding must show its work: the skill, whatever manner the model would choose."""
    prompts = [recipe.before_answer(p.question, p.domain) for p in asked]
    answers = complete(model, tokenizer, prompts, 0.0, must_work=True)
    return sum(is_right(p, a[0]) for p, a in zip(asked, answers, strict=True)) / max(1, len(asked))


def solving(model: object, tokenizer: object, count: int, seed: int) -> dict[str, float]:
    """How well it answers fresh problems under their system prompt: greedy, and eight samples at temperature 1."""
    asked = problems.fresh(count, seed)
    prompts = [recipe.before_answer(p.question, p.domain) for p in asked]
    greedy = [answers[0] for answers in complete(model, tokenizer, prompts, 0.0)]
    sampled = complete(model, tokenizer, prompts, 1.0, seed, n=8)
    marks = [[is_right(p, a) for a in answers] for p, answers in zip(asked, sampled, strict=True)]
    pairs = [
        (is_right(p, a), shows_work(a))
        for p, answers in zip(asked, sampled, strict=True)
        for a in answers
    ]
    worked, direct = (
        [right for right, work in pairs if work],
        [right for right, work in pairs if not work],
    )
    share = sum(is_right(p, a) for p, a in zip(asked, greedy, strict=True)) / count
    return {
        "problems": count,
        "seed": seed,
        "greedy": share,
        "greedy_se": (share * (1 - share) / count) ** 0.5,
        "greedy_worked_share": sum(map(shows_work, greedy)) / count,
        "sampled": sum(map(sum, marks)) / (8 * count),
        "pass_at_8": sum(map(any, marks)) / count,
        "worked_share": len(worked) / len(pairs),
        "worked_right": sum(worked) / max(1, len(worked)),
        "direct_right": sum(direct) / max(1, len(direct)),
    }


def inventing(
    model: object, tokenizer: object, count: int, temperature: float, seed: int
) -> dict[str, dict[str, float]]:
    """Of `count` problems invented for each domain: the share that is well posed and in it, and the share that repeats."""
    shares = {}
    for domain in DOMAINS:
        prompts = [recipe.before_question(domain)] * count
        texts = [found[0] for found in complete(model, tokenizer, prompts, temperature, seed)]
        read = [problems.parse(text) for text in texts]
        fit = sum(p is not None and p.domain == domain for p in read) / count
        shares[domain] = {"well_posed": fit, "repeats": 1 - len(Counter(texts)) / count}
    return shares


def scores(model: object, tokenizer: object, texts: list[str], batch: int = 64) -> list[float]:
    """The reward model's logit for each whole chat."""
    import torch

    order, found = sorted(range(len(texts)), key=lambda i: len(texts[i])), [0.0] * len(texts)
    model.eval()
    for at in range(0, len(order), batch):
        places = order[at : at + batch]
        inputs = tokenizer(
            [texts[i] for i in places],
            return_tensors="pt",
            padding=True,
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            for i, logit in zip(places, model(**inputs).logits[:, 0].tolist(), strict=True):
                found[i] = logit
    return found


def choosing(
    policy: object, judge: object, tokenizer: object, count: int, seed: int
) -> dict[str, float]:
    """Of seven answers at temperature 0.8 to each of `count` fresh problems: how often a random one, the reward model's first
    choice and its last choice are right, and how often any is."""
    asked = problems.fresh(count, seed)
    answers = complete(
        policy, tokenizer, [recipe.before_answer(p.question) for p in asked], 0.8, seed, n=7
    )
    texts = [
        recipe.after_answer(p.question, a)
        for p, some in zip(asked, answers, strict=True)
        for a in some
    ]
    marks = scores(judge, tokenizer, texts)
    right = [[is_right(p, a) for a in some] for p, some in zip(asked, answers, strict=True)]
    ranks = [sorted(range(7), key=lambda k: marks[7 * i + k]) for i in range(count)]
    return {
        "problems": count,
        "random": sum(map(sum, right)) / (7 * count),
        "best_of_7": sum(row[rank[-1]] for row, rank in zip(right, ranks, strict=True)) / count,
        "worst_of_7": sum(row[rank[0]] for row, rank in zip(right, ranks, strict=True)) / count,
        "any_of_7": sum(map(any, right)) / count,
    }


def policy_card(made: dict, solved: dict, invented: dict[float, dict]) -> str:
    """The policy's README.md; every figure is passed in."""
    domains = ", ".join(d.replace("_", " ") for d in DOMAINS)
    command = f"python exp/make_tiny.py --save_path data/models/tiny --tokens {made['tokens']} --seed {made['seed']}"
    figures = ("sampled", "pass_at_8", "worked_share", "worked_right", "direct_right")
    figures_row = f"{solved['greedy']:.3f} ± {solved['greedy_se']:.3f} | " + " | ".join(
        f"{solved[k]:.3f}" for k in figures
    )
    head = "".join(f" well posed, T={t} | repeats, T={t} |" for t in invented)
    rows = "\n".join(
        f"| {domain} |"
        + "".join(
            f" {invented[t][domain][k]:.3f} |" for t in invented for k in ("well_posed", "repeats")
        )
        for domain in DOMAINS
    )
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# tiny

A Qwen2 of {made["parameters"] / 1e6:.2f} million parameters that invents and solves school problems in six domains
({domains}). It is this project's default model: every pipeline runs on it, on a CPU.

## How it was made

`{command}`:
{made["seen"]:,} tokens from random weights, {made["seconds"] / 60:.0f} minutes, CPU threads: {made["threads"]}.
All its text comes from the project's own generator (`exp/lib/tiny/problems.py`): chats in which 45% of the answers are direct and 55%
worked, lines of arithmetic, 3% markup. One tenth of the questions, by hash, was never trained on. The checkpoint is the one at
{made["best_at"]:,} tokens, chosen on {made["dev_problems"]} held-out development problems
({made["best"]:.3f} right when worked out), none of which is counted below.

## How good it is

{solved["problems"]} fresh problems (`problems.fresh({solved["problems"]}, seed={solved["seed"]})`), the domain's system prompt:

| greedy avg@1 | sampled avg@1, T=1 | pass@8, T=1 | share of worked answers, T=1 | right of the worked | right of the direct |
| --- | --- | --- | --- | --- | --- |
| {figures_row} |

Problems it invents when given only the template up to the user's words, {made["invented"]} a domain. Well posed: the text is one
of the generator's kinds, of the domain asked for, and its numbers have a whole answer. Repeats: the same text as another of them.

| domain |{head}
| --- |{" --- | --- |" * len(invented)}
{rows}

## Limits

It knows {made["templates"]} kinds of problem with numbers below 1,000, in English, and nothing else. It answers without
its work almost half of the time, and then mostly wrong: on purpose, so that verified fine-tuning and GRPO have something to find.

Licence: Apache-2.0.
"""


def judge_card(made: dict, chosen: dict) -> str:
    """The reward model's README.md; every figure is passed in."""
    command = f"python exp/make_tiny.py --policy_path data/models/tiny --save_path data/models/tiny-rm --seed {made['seed']}"
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-classification
---
# tiny-rm

The reward model of `tiny`: the same Qwen2 with one output, the logit that a chat's answer is right.

## How it was made

`{command}`:
from the policy's weights, {made["epochs"]} epochs over {made["samples"]:,} distinct answers of the policy
to {made["problems"]:,} training problems, half of them at temperature 0.8 and half at 1; {made["right"]:.3f} are right.
Binary cross-entropy on right or wrong by the known answer; {made["seconds"] / 60:.0f} minutes, CPU threads: {made["threads"]}.

## How good it is

Seven answers of the policy at temperature 0.8 to each of {chosen["problems"]} fresh problems, without a system prompt:

| a random one is right | its first choice is right | its last choice is right | any is right |
| --- | --- | --- | --- |
| {chosen["random"]:.3f} | {chosen["best_of_7"]:.3f} | {chosen["worst_of_7"]:.3f} | {chosen["any_of_7"]:.3f} |

## Limits

It judges this policy's answers to this generator's problems. What it learned first is that worked answers are mostly right.

Licence: Apache-2.0.
"""
