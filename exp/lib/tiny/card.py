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
        first_token, *_ = tokenizer.encode(DIRECT_ANSWER)
        decoding["begin_suppress_tokens"] = [first_token]
    completions: list[list[str]] = [[] for _ in prompts]
    prompts_a_batch = max(1, SEQUENCES_A_BATCH // samples)
    model.eval()
    for prompt_numbers in _batches_by_length(prompts, prompts_a_batch):
        inputs = _inputs(tokenizer, [prompts[number] for number in prompt_numbers])
        with torch.inference_mode():
            output = model.generate(
                **inputs, **decoding, max_new_tokens=MAX_TOKENS, num_return_sequences=samples
            )
        prompt_tokens = inputs["input_ids"].shape[1]
        completed_ids = output[:, prompt_tokens:].tolist()
        for sequence, token_ids in enumerate(completed_ids):
            text = _text_before_end(tokenizer, token_ids)
            prompt_number = prompt_numbers[sequence // samples]
            completions[prompt_number].append(text)
    model.train()
    return completions


def _text_before_end(tokenizer, token_ids: list[int]) -> str:
    """What stands before the token that ends an answer; "" if there is none."""
    if tokenizer.eos_token_id not in token_ids:
        return ""
    end = token_ids.index(tokenizer.eos_token_id)
    return tokenizer.decode(token_ids[:end])


def reward_scores(reward_model, tokenizer, chats: list[str]) -> list[float]:
    """The reward model's logit for each whole chat."""
    import torch

    scores = [0.0] * len(chats)
    reward_model.eval()
    for chat_numbers in _batches_by_length(chats, CHATS_A_BATCH):
        inputs = _inputs(tokenizer, [chats[number] for number in chat_numbers])
        with torch.inference_mode():
            logits = reward_model(**inputs).logits[:, 0].tolist()
        for chat_number, logit in zip(chat_numbers, logits, strict=True):
            scores[chat_number] = logit
    return scores


def worked_accuracy(model, tokenizer, asked_problems: list[Problem]) -> float:
    """The share right when greedy decoding must show its work.

    That is the skill, in whatever manner the model would have chosen to answer.
    """
    prompts = _prompts_with_domains(asked_problems)
    responses = complete(model, tokenizer, prompts, temperature=0.0, must_work=True)
    right_count = _count_solved(_grade(asked_problems, responses))
    return right_count / max(1, len(asked_problems))


def measure_solving(model, tokenizer, count: int, seed: int) -> dict[str, float]:
    """How well the policy answers fresh problems under their system prompts.

    Once greedily, and with eight samples at temperature 1. `greedy_se` is the standard error.
    """
    fresh = problems.fresh(count, seed)
    prompts = _prompts_with_domains(fresh)
    greedy = complete(model, tokenizer, prompts, temperature=0.0)
    sampled = complete(
        model, tokenizer, prompts, temperature=1.0, seed=seed, samples=SAMPLES_PER_PROBLEM
    )
    accuracy = _count_solved(_grade(fresh, greedy)) / count
    variance = accuracy * (1 - accuracy) / count
    sampled_verdicts = _grade(fresh, sampled)
    worked_verdicts = []
    direct_verdicts = []
    for responses, verdicts in zip(sampled, sampled_verdicts, strict=True):
        for response, is_right in zip(responses, verdicts, strict=True):
            if shows_work(response):
                worked_verdicts.append(is_right)
            else:
                direct_verdicts.append(is_right)
    sample_count = SAMPLES_PER_PROBLEM * count
    right_count = sum(worked_verdicts) + sum(direct_verdicts)
    return {
        "problems": count,
        "greedy": accuracy,
        "greedy_se": variance**0.5,
        "sampled": right_count / sample_count,
        "pass_at_8": _count_solved(sampled_verdicts) / count,
        "worked_share": len(worked_verdicts) / sample_count,
        "worked_right": _share_right(worked_verdicts),
        "direct_right": _share_right(direct_verdicts),
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
        questions = set()
        well_posed = 0
        for (question,) in complete(model, tokenizer, prompts, temperature, seed):
            questions.add(question)
            problem = problems.parse(question)
            if problem is not None and problem.domain == domain:
                well_posed += 1
        shares[domain] = {
            "well_posed": well_posed / count,
            "repeats": 1 - len(questions) / count,
        }
    return shares


def measure_ranking(policy, reward_model, tokenizer, count: int, seed: int) -> dict[str, float]:
    """How often answers to `count` fresh problems are right, by how the reward model ranks them.

    Of seven answers at temperature 0.8 to a problem: a random one, the reward model's first choice
    and its last choice; and how often any is right.
    """
    fresh = problems.fresh(count, seed)
    prompts = [recipe.before_answer(problem.question) for problem in fresh]
    responses = complete(policy, tokenizer, prompts, 0.8, seed, samples=CANDIDATES)
    verdicts = _grade(fresh, responses)
    chats = []
    for problem, candidates in zip(fresh, responses, strict=True):
        for response in candidates:
            chats.append(recipe.after_answer(problem.question, response))
    scores = reward_scores(reward_model, tokenizer, chats)
    right_count = 0
    best_right = 0
    worst_right = 0
    for number, candidate_verdicts in enumerate(verdicts):
        first = number * CANDIDATES
        candidate_scores = scores[first : first + CANDIDATES]
        worst_first = sorted(range(CANDIDATES), key=candidate_scores.__getitem__)
        worst_right += candidate_verdicts[worst_first[0]]
        best_right += candidate_verdicts[worst_first[-1]]
        right_count += sum(candidate_verdicts)
    return {
        "problems": count,
        "random": right_count / (CANDIDATES * count),
        "best_of_7": best_right / count,
        "worst_of_7": worst_right / count,
        "any_of_7": _count_solved(verdicts) / count,
    }


def _prompts_with_domains(asked_problems: list[Problem]) -> list[str]:
    """The prompt of each problem, with its domain's system prompt."""
    prompts = []
    for problem in asked_problems:
        prompts.append(recipe.before_answer(problem.question, problem.domain))
    return prompts


def _grade(asked_problems: list[Problem], responses: list[list[str]]) -> list[list[bool]]:
    """Whether each response to each problem states the true answer."""
    verdicts = []
    for problem, problem_responses in zip(asked_problems, responses, strict=True):
        true_answer = str(problem.answer)
        problem_verdicts = []
        for response in problem_responses:
            grade = answers.grade(response, true_answer, strict=True)
            problem_verdicts.append(grade.correct)
        verdicts.append(problem_verdicts)
    return verdicts


def _count_solved(verdicts: list[list[bool]]) -> int:
    """How many problems have a right response."""
    return sum(any(problem_verdicts) for problem_verdicts in verdicts)


def _share_right(verdicts: list[bool]) -> float:
    """The share of right responses; 0 if there is none."""
    return sum(verdicts) / max(1, len(verdicts))


def _batches_by_length(texts: list[str], batch_size: int) -> Iterator[list[int]]:
    """The numbers of the texts, those of similar length together, so that little is padding."""
    shortest_first = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    for start in range(0, len(shortest_first), batch_size):
        yield shortest_first[start : start + batch_size]


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
    lines = [_table_line(titles), _table_line(["---"] * len(titles))]
    for row in rows:
        cells = [cell if isinstance(cell, str) else f"{cell:.3f}" for cell in row.values()]
        lines.append(_table_line(cells))
    return "\n".join(lines)


def _table_line(cells: list[str]) -> str:
    joined = " | ".join(cells)
    return f"| {joined} |"
