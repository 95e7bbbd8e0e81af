"""What a generation run makes, and the tokens and hours that it will take."""

from dataclasses import dataclass

from lib.models import Domain, Model
from lib.progress import clock

RESPONSES = 7  # answers to each problem for the reward model, beside the one for SFT


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
