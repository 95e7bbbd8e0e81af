"""Check in seconds, before any model loads, that a generation run can work, and print its plan.

in    configs/models.yaml and the model's domains file
out   stdout: one line a domain, tabs between: domain, count, temperature and token limit of
      problems, of answers, model's name, reward model.
      stderr: what was checked and what the run will cost
      python exp/check_run.py --model 0 --domain algebra --count 20

--count is for each domain; without it, or with `default`, each gets the Magpie pipeline's count
times --scale. POLICY_URL and REWARD_URL name servers that run elsewhere, PORT the one to serve at.
"""

import importlib.util
import json
import os
import shutil
import socket

from lib import chat, cli, models
from lib.errors import UserError
from lib.inference import memory
from lib.inference.run_estimate import (
    RESPONSES,
    DomainPlan,
    RunPlan,
    estimate,
    token_limits,
)
from lib.models import Model
from lib.progress import say, shown_path
from lib.rows import ROOT

DEFAULT_COUNTS = ("", "default")  # words for --count that mean the domain's own
BYTES_OF_TOKEN = 4  # of text in a file
SPARE_GB = 0.1  # of the disk, for logs and whatever else a run writes


def plan_domains(model: Model, domain: str, count: str, scale: float | None) -> list[DomainPlan]:
    """The domains to make and the problems of each.

    They are the Magpie pipeline's counts times the scale (None: the model's own), or `count` each.
    """
    if domain:
        chosen_domains = [models.domain(model, domain)]
    else:
        chosen_domains = list(models.domains(model).values())
    if count not in DEFAULT_COUNTS:
        if not count.isascii() or not count.isdigit() or int(count) < 1:
            raise UserError(f"COUNT {count!r}: expected a whole number of at least 1")
        return [DomainPlan(chosen, int(count)) for chosen in chosen_domains]
    if scale is None:
        scale = model.scale
    if scale <= 0:
        raise UserError(f"SCALE {scale:g}: expected a number above 0")
    plans = []
    for chosen in chosen_domains:
        problems = max(1, round(chosen.count * scale))
        plans.append(DomainPlan(chosen, problems))
    return plans


def check_context(plan: RunPlan) -> None:
    """A problem and its answer must fit the context together."""
    context = plan.policy.max_model_len
    for planned in plan.domains:
        problem_tokens, answer_tokens = token_limits(planned.domain, plan.policy)
        if context and problem_tokens + answer_tokens > context:
            tokens = f"{problem_tokens} tokens of problem and {answer_tokens} of answer"
            limit = f"the context of {context} of {plan.policy.name}"
            raise UserError(f"{planned.domain.name}: {tokens} do not fit {limit}")


def check_reward_context(plan: RunPlan, context: int | None) -> None:
    """A problem and its answer must fit the reward model's context of so many tokens together.

    A longer answer would rank last without a score, however good it is.
    """
    for planned in plan.domains:
        problem_tokens, answer_tokens = token_limits(planned.domain, plan.policy)
        if context and problem_tokens + answer_tokens > context:
            tokens = f"{problem_tokens} tokens of problem and {answer_tokens} of answer"
            limit = f"the context of {context} of the reward model {plan.reward_model.name}"
            advice = "choose another with REWARD_MODEL=…"
            raise UserError(f"{planned.domain.name}: {tokens} do not fit {limit}; {advice}")


def check_reward_model(plan: RunPlan, devices: list[float], trust_remote_code: bool) -> None:
    """There is memory for the reward model, it can be run, and what it is to rank fits into it."""
    from lib.inference import reward_engine  # with numpy: not for every call of a driver

    advice = "choose another REWARD_MODEL, or set REWARD_URL to a server that has it"
    memory.check_device(plan.reward_model, devices, advice)
    model = reward_engine.with_runner(plan.reward_model, trust_remote_code)
    config = memory.config_of(model)
    check_reward_context(plan, model.max_model_len or config.get("max_position_embeddings"))


def check_template(model: Model, system_prompt: str, trust_remote_code: bool) -> str:
    """The pre-query prompt, so that a template that cannot give one fails here."""
    try:
        tokenizer = chat.load_tokenizer(model.path, trust_remote_code)
        return chat.pre_query(tokenizer, system_prompt)
    except ValueError as e:
        raise UserError(str(e)) from None


def check_disk(plan: RunPlan) -> None:
    """There is room for every answer at full length, and `data` can be written to."""
    answer_tokens = plan.domains[0].domain.max_tokens_res
    answers = plan.problems * (1 + RESPONSES)
    needed_gb = answers * answer_tokens * BYTES_OF_TOKEN / 1e9
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < needed_gb + SPARE_GB:
        sizes = f"the run may write {needed_gb:.1f} GB and {ROOT} has {free_gb:.1f} GB free"
        raise UserError(sizes)
    data_folder = ROOT / "data"
    if not os.access(data_folder, os.W_OK):
        raise UserError(f"{shown_path(data_folder)} is not writable")


def check_port(port: str) -> None:
    """The port that was asked for is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except (OSError, ValueError, OverflowError):
            problem = "it is taken, or no number; leave it out for a free one"
            raise UserError(f"PORT {port} cannot be used: {problem}") from None


def check(plan: RunPlan, trust_remote_code: bool) -> None:
    """Everything that can be known before a model loads; UserError for the first thing amiss."""
    policy = plan.policy
    check_context(plan)
    devices = memory.gpus()
    policy_url = os.environ.get("POLICY_URL")
    place = policy_url
    if not policy_url:
        advice = "run model 0 (tiny) here, or set POLICY_URL to a server that has it"
        place = memory.check_device(policy, devices, advice)
    counts = [f"{planned.domain.name} {planned.problems:,}" for planned in plan.domains]
    say(f"{policy.name}: {', '.join(counts)}; ranked by {plan.reward_model.name}")
    if not os.environ.get("REWARD_URL"):
        check_reward_model(plan, devices, trust_remote_code)
    if not policy_url and importlib.util.find_spec("vllm") is None:
        raise UserError("vllm is not installed in this Python; run 'make setup'")
    memory.config_of(policy)
    system_prompt = plan.domains[0].domain.system_prompt
    pre_query = check_template(policy, system_prompt, trust_remote_code)
    check_disk(plan)
    port = os.environ.get("PORT")
    if port:
        check_port(port)
    say(f"runs on {place}; problems start from {json.dumps(pre_query, ensure_ascii=False)}")
    say(estimate(plan))


def print_plan(plan: RunPlan) -> None:
    """One line a domain on stdout, which the drivers read."""
    for planned in plan.domains:
        domain = planned.domain
        print(
            domain.name,
            planned.problems,
            domain.ins_temperature,
            domain.max_tokens_ins,
            domain.res_temperature,
            domain.max_tokens_res,
            plan.policy.name,
            plan.reward_model.path,
            sep="\t",
        )


def main(
    model: str = "",
    menu: bool = False,
    domain: str = "",
    count: str = "",
    scale: float | None = None,
    reward_model: str = "",
    quick: bool = False,
    trust_remote_code: bool = False,
):
    if menu:
        for listed in models.menu():
            print(f"  {listed.number}  {listed.description}")
        return
    if not model:
        raise UserError("missing --model; see --help")
    policy = models.find(model)
    ranking_model = models.find(reward_model or policy.reward_model)
    plan = RunPlan(policy, ranking_model, plan_domains(policy, domain, count, scale))
    if not quick:
        check(plan, trust_remote_code)
    print_plan(plan)


if __name__ == "__main__":
    cli.run(main)
