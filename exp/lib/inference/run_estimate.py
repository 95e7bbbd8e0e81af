"""What a generation run makes, and the tokens and hours that it will take."""

from dataclasses import dataclass

from lib.models import Domain, Model
from lib.progress import clock

RESPONSES = 7  # answers to each problem for the reward model, beside the one for SFT
BYTES_OF_TOKEN = 4  # of text in a file
# How often a run's folder holds the text of one problem's answers when it is refined: one in _res;
# seven each in _7res, _7res_armorm, clean and voted; one for SFT and two of a pair, each as rows
# and in the dataset as JSONL and Parquet.
ANSWER_COPIES = 1 + 4 * RESPONSES + 3 * (1 + 2)
# The problem stands in _ins, _res, _7res, _7res_armorm, clean and voted, and twice in each of the
# rows for SFT and the pairs, in three forms.
PROBLEM_COPIES = 6 + 3 * 2 * 2
# While the largest file is finished its rows lie in .part as well.
GROWING_COPIES = RESPONSES


@dataclass(frozen=True)
class DomainPlan:
    """One domain of a run and the number of problems to make in it."""

    domain: Domain
    problems: int


@dataclass(frozen=True)
class RunPlan:
    """The models of a run and what it makes."""

    policy: Model
    reward_model: Model
    domains: list[DomainPlan]

    @property
    def problems(self) -> int:
        """The problems of all domains."""
        return sum(planned.problems for planned in self.domains)


def token_limits(domain: Domain, model: Model) -> tuple[int, int]:
    """The most tokens of a problem and of an answer, by the domain and the model's own limits."""
    problem_tokens = domain.max_tokens_ins
    answer_tokens = domain.max_tokens_res
    if model.max_tokens_ins:
        problem_tokens = min(problem_tokens, model.max_tokens_ins)
    if model.max_tokens_res:
        answer_tokens = min(answer_tokens, model.max_tokens_res)
    return problem_tokens, answer_tokens


def bytes_on_disk(plan: RunPlan) -> int:
    """What a run with its refining writes if every text is as long as it may be."""
    total = 0
    for planned in plan.domains:
        problem_tokens, answer_tokens = token_limits(planned.domain, plan.policy)
        tokens = (ANSWER_COPIES + GROWING_COPIES) * answer_tokens
        tokens += (PROBLEM_COPIES + 1) * problem_tokens
        total += planned.problems * tokens * BYTES_OF_TOKEN
    return total


def estimate(plan: RunPlan) -> str:
    """Tokens and hours with the arithmetic, at half of each token limit.

    Half is where long answers come to lie.
    """
    tokens = 0
    for planned in plan.domains:
        problem_tokens, answer_tokens = token_limits(planned.domain, plan.policy)
        most_tokens = problem_tokens + (1 + RESPONSES) * answer_tokens
        tokens += planned.problems * most_tokens / 2
    answers = f"(1 problem + 1 + {RESPONSES} answers)"
    total = (
        f"{plan.problems:,} problems x {answers} at half their token limits = {tokens:,.0f} tokens"
    )
    speed = plan.policy.tokens_s
    if not speed:
        return f"{total}; tokens/s of {plan.policy.name} unknown"
    duration = clock(tokens / speed)
    return f"{total} / {speed:,.0f} tokens/s = {duration}"
