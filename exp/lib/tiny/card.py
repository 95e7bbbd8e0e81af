"""How well the embedded models do, measured, and the model cards that say so."""

from collections.abc import Iterator

from lib.grading import answers
from lib.tiny import problems, recipe
from lib.tiny.problems import DOMAINS, Problem
from lib.tiny.truth import DIRECT_ANSWER, shows_work

SAMPLES_PER_PROBLEM = 8  # of the policy's card
CANDIDATES = 7  # answers that the reward model ranks
MAX_TOKENS = 128  # of an answer or of an invented problem
SEQUENCES_A_BATCH = 192  # that the policy continues
CHATS_A_BATCH = 64  # that the reward model reads

POLICY_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# tiny

A Qwen2 of {million_parameters:.2f} million parameters that invents and solves school problems in
six domains ({domains}). It is this
project's default model: every pipeline runs on it, on a CPU.

## How it was made

`{command}`:
{trained_tokens:,} tokens from random weights, {minutes:.0f} minutes, CPU threads: {threads}.
All its text comes from the project's own generator (`exp/lib/tiny/problems.py`): chats in which 45%
of the answers are direct and 55% worked, lines of arithmetic, 3% markup. One tenth of the
questions, by hash, was never trained on. The checkpoint is the one at {best_at:,} tokens,
chosen on {dev_problems} held-out development problems ({best_accuracy:.3f} right when worked out),
none of which is counted below.

## How good it is

{problems} fresh problems (`problems.fresh({problems}, seed={seed})`), the domain's system prompt:

{solving_table}

Problems it invents when given only the template up to the user's words, {invented} a domain. Well
posed: the text is one of the generator's kinds, of the domain asked for, and its numbers have a
whole answer. Repeats: the same text as another of them.

{inventing_table}

## Limits

It knows {templates} kinds of problem with numbers below 1,000, in English, and nothing else. It
answers without its work almost half of the time, and then mostly wrong: on purpose, so that
fine-tuning on majority-voted answers and GRPO have something to find.

Licence: Apache-2.0.
"""

REWARD_MODEL_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-classification
---
# tiny-rm

The reward model of `tiny`: the same Qwen2 with one output, the logit that a chat's answer is right.

## How it was made

`{command}`:
from the policy's weights, {epochs} epochs over {samples:,} distinct answers of the policy
to {sampled_problems:,} training problems, half of them at temperature 0.8 and half at 1;
{right_share:.3f} are right. Binary cross-entropy on right or wrong by the known answer;
{minutes:.0f} minutes, CPU threads: {threads}.

## How good it is

Seven answers of the policy at temperature 0.8 to each of {problems} fresh problems, without a
system prompt:

{ranking_table}

## Limits

It ranks this policy's answers to this generator's problems. What it learned first is that worked
answers are mostly right.

Licence: Apache-2.0.
"""


def policy_card(facts: dict, solving: dict, inventing: dict[float, dict]) -> str:
    """The policy's README.md; `facts` fill its other slots, and `inventing` is by temperature."""
    return POLICY_CARD.format(
        **facts,
        domains=", ".join(domain.replace("_", " ") for domain in DOMAINS),
        problems=solving["problems"],
        solving_table=_solving_table(solving),
        inventing_table=_inventing_table(inventing),
    )


def reward_model_card(facts: dict, ranking: dict) -> str:
    """The reward model's README.md; `facts` fill its other slots."""
    table = _table(
        {
            "a random one is right": ranking["random"],
            "its first choice is right": ranking["best_of_7"],
            "its last choice is right": ranking["worst_of_7"],
            "any is right": ranking["any_of_7"],
        }
    )
    return REWARD_MODEL_CARD.format(**facts, problems=ranking["problems"], ranking_table=table)


def complete(
    model,
    tokenizer,
    prompts: list[str],
    temperature: float,
    seed: int = 0,
    samples: int = 1,
    must_work: bool = False,
) -> list[list[str]]:
    """`samples` continuations of each prompt, greedy at temperature 0; "" for one without an end.

    `must_work` bars the words with which a direct answer begins.
    """
    import torch

    torch.manual_seed(seed)
    decoding: dict = {"do_sample": False}
    if temperature:
        decoding = {"do_sample": True, "temperature": temperature, "top_k": 0}
    if must_work:
        decoding["begin_suppress_tokens"] = [tokenizer.encode(DIRECT_ANSWER)[0]]
    completions: list[list[str]] = [[] for _ in prompts]
    model.eval()
    for places in _batches_by_length(prompts, max(1, SEQUENCES_A_BATCH // samples)):
        inputs = _inputs(tokenizer, [prompts[place] for place in places])
        with torch.inference_mode():
            output = model.generate(
                **inputs, **decoding, max_new_tokens=MAX_TOKENS, num_return_sequences=samples
            )
        prompt_tokens = inputs["input_ids"].shape[1]
        for sequence, ids in enumerate(output[:, prompt_tokens:].tolist()):
            text = ""
            if tokenizer.eos_token_id in ids:
                text = tokenizer.decode(ids[: ids.index(tokenizer.eos_token_id)])
            completions[places[sequence // samples]].append(text)
    model.train()
    return completions


def reward_scores(reward_model, tokenizer, chats: list[str]) -> list[float]:
    """The reward model's logit for each whole chat."""
    import torch

    scores = [0.0] * len(chats)
    reward_model.eval()
    for places in _batches_by_length(chats, CHATS_A_BATCH):
        inputs = _inputs(tokenizer, [chats[place] for place in places])
        with torch.inference_mode():
            logits = reward_model(**inputs).logits[:, 0].tolist()
        for place, logit in zip(places, logits, strict=True):
            scores[place] = logit
    return scores


def worked_accuracy(model, tokenizer, asked_problems: list[Problem]) -> float:
    """The share right when greedy decoding must show its work.

    That is the skill, in whatever manner the model would have chosen to answer.
    """
    prompts = [recipe.before_answer(p.question, p.domain) for p in asked_problems]
    responses = complete(model, tokenizer, prompts, temperature=0.0, must_work=True)
    verdicts = _grade(asked_problems, responses)
    return sum(map(any, verdicts)) / max(1, len(asked_problems))


def measure_solving(model, tokenizer, count: int, seed: int) -> dict[str, float]:
    """How well the policy answers fresh problems under their system prompts.

    Once greedily, and with eight samples at temperature 1. `greedy_se` is the standard error.
    """
    fresh = problems.fresh(count, seed)
    prompts = [recipe.before_answer(p.question, p.domain) for p in fresh]
    greedy = complete(model, tokenizer, prompts, temperature=0.0)
    sampled = complete(
        model, tokenizer, prompts, temperature=1.0, seed=seed, samples=SAMPLES_PER_PROBLEM
    )
    accuracy = sum(map(any, _grade(fresh, greedy))) / count
    sampled_verdicts = _grade(fresh, sampled)
    worked_verdicts = []
    direct_verdicts = []
    for responses, verdicts in zip(sampled, sampled_verdicts, strict=True):
        for response, is_right in zip(responses, verdicts, strict=True):
            if shows_work(response):
                worked_verdicts.append(is_right)
            else:
                direct_verdicts.append(is_right)
    all_samples = SAMPLES_PER_PROBLEM * count
    return {
        "problems": count,
        "greedy": accuracy,
        "greedy_se": (accuracy * (1 - accuracy) / count) ** 0.5,
        "sampled": sum(map(sum, sampled_verdicts)) / all_samples,
        "pass_at_8": sum(map(any, sampled_verdicts)) / count,
        "worked_share": len(worked_verdicts) / all_samples,
        "worked_right": sum(worked_verdicts) / max(1, len(worked_verdicts)),
        "direct_right": sum(direct_verdicts) / max(1, len(direct_verdicts)),
    }


def measure_inventing(
    model, tokenizer, count: int, temperature: float, seed: int
) -> dict[str, dict[str, float]]:
    """What `count` problems that the policy invents for each domain are worth.

    By domain: the share that is well posed and of the domain, and the share that repeats another.
    """
    shares = {}
    for domain in DOMAINS:
        prompts = [recipe.before_question(domain)] * count
        questions = []
        for (question,) in complete(model, tokenizer, prompts, temperature, seed):
            questions.append(question)
        readings = [problems.parse(question) for question in questions]
        fitting = [p for p in readings if p is not None and p.domain == domain]
        shares[domain] = {
            "well_posed": len(fitting) / count,
            "repeats": 1 - len(set(questions)) / count,
        }
    return shares


def measure_ranking(policy, reward_model, tokenizer, count: int, seed: int) -> dict[str, float]:
    """How often answers to `count` fresh problems are right, by how the reward model ranks them.

    Of seven answers at temperature 0.8 to a problem: a random one, the reward model's first choice
    and its last choice; and how often any is right.
    """
    fresh = problems.fresh(count, seed)
    prompts = [recipe.before_answer(p.question) for p in fresh]
    responses = complete(policy, tokenizer, prompts, 0.8, seed, samples=CANDIDATES)
    verdicts = _grade(fresh, responses)
    chats = []
    for problem, candidates in zip(fresh, responses, strict=True):
        for response in candidates:
            chats.append(recipe.after_answer(problem.question, response))
    scores = reward_scores(reward_model, tokenizer, chats)
    best_right = 0
    worst_right = 0
    for number, row in enumerate(verdicts):
        row_scores = scores[number * CANDIDATES : (number + 1) * CANDIDATES]
        ranking = sorted(zip(row_scores, row, strict=True), key=lambda pair: pair[0])
        worst_right += ranking[0][1]
        best_right += ranking[-1][1]
    return {
        "problems": count,
        "random": sum(map(sum, verdicts)) / (CANDIDATES * count),
        "best_of_7": best_right / count,
        "worst_of_7": worst_right / count,
        "any_of_7": sum(map(any, verdicts)) / count,
    }


def _grade(asked_problems: list[Problem], responses: list[list[str]]) -> list[list[bool]]:
    """Whether each response to each problem states the true answer."""
    verdicts = []
    for problem, texts in zip(asked_problems, responses, strict=True):
        gold = str(problem.answer)
        verdicts.append([answers.grade(text, gold, strict=True).correct for text in texts])
    return verdicts


def _batches_by_length(texts: list[str], batch_size: int) -> Iterator[list[int]]:
    """The places of the texts, those of similar length together, so that little is padding."""
    places = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for start in range(0, len(places), batch_size):
        yield places[start : start + batch_size]


def _inputs(tokenizer, texts: list[str]):
    return tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)


def _solving_table(solving: dict) -> str:
    return _table(
        {
            "greedy avg@1": f"{solving['greedy']:.3f} ± {solving['greedy_se']:.3f}",
            "sampled avg@1, T=1": solving["sampled"],
            "pass@8, T=1": solving["pass_at_8"],
            "share of worked answers, T=1": solving["worked_share"],
            "right of the worked": solving["worked_right"],
            "right of the direct": solving["direct_right"],
        }
    )


def _inventing_table(inventing: dict[float, dict]) -> str:
    rows = []
    for domain in DOMAINS:
        row = {"domain": domain}
        for temperature, shares in inventing.items():
            row[f"well posed, T={temperature}"] = shares[domain]["well_posed"]
            row[f"repeats, T={temperature}"] = shares[domain]["repeats"]
        rows.append(row)
    return _table(*rows)


def _table(*rows: dict[str, str | float]) -> str:
    """Rows as Markdown, under the keys of the first; numbers have three decimals."""
    titles = list(rows[0])
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        lines.append([cell if isinstance(cell, str) else f"{cell:.3f}" for cell in row.values()])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
