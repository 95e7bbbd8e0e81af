"""Check in seconds, before any model loads, that a run can work, and print its plan.

in    configs/models.yaml and the model's domains file
out   stdout: of a generation one line a domain, tabs between: domain, count, temperature and token
      limit of problems, of answers, model's name, reward model, halves of the work that are left.
      stderr: what was checked and what the run will cost
      python exp/check_run.py --model 0 --domain algebra --count 20

--job evaluate or train checks a model for that; --training_configs names the trainers' settings.
--count is for each domain; without it, or with `default`, each gets the Magpie pipeline's count
times --scale. --run_path names the run's folder: halves that are finished there are not checked.
POLICY_URL and REWARD_URL name servers that run elsewhere, PORT the one to serve at. With
--check warn whatever is amiss is a warning.
"""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import yaml

from lib import cli, models
from lib.errors import UserError, near
from lib.inference import gpus, memory, weights
from lib.inference.checks import (
    Checks,
    check_context,
    check_disk,
    check_installed,
    check_port,
    check_reward_model,
    check_template,
)
from lib.inference.run_estimate import DomainPlan, RunPlan, bytes_on_disk, estimate
from lib.models import Model
from lib.progress import say
from lib.report import run_folder

JOBS = ("generate", "evaluate", "train")
HALVES = ("generate", "rank")  # of the work on a domain: by the policy, by the reward model
DEFAULT_COUNTS = ("", "default")  # words for --count that mean the domain's own
OTHER_POLICY = (
    "take a smaller or quantized one, run model 0 (tiny) here, "
    "or set POLICY_URL to a server that has it"
)
OTHER_REWARD_MODEL = "choose another REWARD_MODEL, or set REWARD_URL to a server that has it"
OTHER_TRAINING = (
    "train a smaller model, or set load_in_4bit: true in the settings (SFT_CONFIG, GRPO_CONFIG)"
)
OTHER_MODEL = "take a smaller or quantized model, or run model 0 (tiny)"


def find_model(typed: str, checks: Checks) -> Model:
    """The facts for what was typed. A path to nothing is a warning where warnings are enough."""
    try:
        return models.find(typed)
    except UserError:
        is_path = "/" in typed
        if not (checks.only_warn and is_path):
            raise
        checks.warn(f"{typed} is not on this machine; nothing is known of it")
        return models.unchecked(typed)


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
    if not 0 < scale < math.inf:
        raise UserError(f"SCALE {scale:g}: expected a number above 0")
    plans = []
    for chosen in chosen_domains:
        problems = max(1, round(chosen.count * scale))
        plans.append(DomainPlan(chosen, problems))
    return plans


def check_generation(plan: RunPlan, left: set[str], checks: Checks, trust_remote_code: bool):
    """Everything that can be known before a model loads, of the halves that are `left` to do."""
    policy, reward_model = plan.policy, plan.reward_model
    devices = gpus.visible()
    place = "nothing: it is finished"
    here = []  # models that are loaded on this machine
    checks.run(check_context, plan)
    if "generate" in left:
        place = os.environ.get("POLICY_URL")
        if not place:
            here.append(policy)
            place = checks.run(memory.check_device, policy, devices, OTHER_POLICY)
    counts = [f"{planned.domain.name} {planned.problems:,}" for planned in plan.domains]
    say(f"{policy.name}: {', '.join(counts)}; ranked by {reward_model.name}")
    if "rank" in left and not os.environ.get("REWARD_URL"):
        here.append(reward_model)
        checks.run(memory.check_device, reward_model, devices, OTHER_REWARD_MODEL)
        checks.run(check_reward_model, plan, trust_remote_code)
    if here:
        checks.run(check_installed)
    pre_query = None
    if "generate" in left and checks.run(weights.config_of, policy):
        system_prompt = plan.domains[0].domain.system_prompt
        pre_query = checks.run(check_template, policy, system_prompt, trust_remote_code)
    if left:
        checks.run(check_disk, bytes_on_disk(plan) / 1e9, here)
    port = os.environ.get("PORT")
    if port:
        checks.run(check_port, port)
    if pre_query:
        say(f"runs on {place}; problems start from {json.dumps(pre_query, ensure_ascii=False)}")
    say(estimate(plan))


def check_evaluation(model: Model, checks: Checks) -> None:
    """The model can be loaded here to answer."""
    checks.run(memory.check_device, model, gpus.visible(), OTHER_MODEL)
    checks.run(weights.config_of, model)
    checks.run(check_disk, 0, [model])


def check_training(model: Model, configs: list[dict], checks: Checks) -> None:
    """The model can be trained here with each of these settings, and then answer."""
    devices = gpus.visible()
    for config in configs:
        full_weights = config.get("lora_rank") == 0
        in_4bit = bool(config.get("load_in_4bit"))
        arguments = (model, devices, full_weights, in_4bit, OTHER_TRAINING)
        checks.run(memory.check_training, *arguments)
    check_evaluation(model, checks)


def read_configs(paths: str) -> list[dict]:
    """The trainers' settings in these files; UserError for one that cannot be read."""
    configs = []
    for path in cli.comma_list(paths):
        try:
            configs.append(yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
        except OSError as e:
            raise UserError(f"{path}: {e.strerror}") from None
        except yaml.YAMLError:
            raise UserError(f"{path}: not YAML") from None
    return configs


def print_plan(plan: RunPlan, left: dict[str, set[str]]) -> None:
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
            ",".join(sorted(left[domain.name])) or "nothing",
            sep="\t",
        )


def main(
    model: str = "",
    menu: bool = False,
    job: str = "generate",
    domain: str = "",
    count: str = "",
    scale: float | None = None,
    reward_model: str = "",
    run_path: str = "",
    training_configs: str = "",
    quick: bool = False,
    check: str = "refuse",
    trust_remote_code: bool = False,
):
    if menu:
        for listed in models.menu():
            print(f"  {listed.number}  {listed.description}")
        return
    if not model:
        raise UserError("missing --model; see --help")
    if job not in JOBS:
        raise UserError(f"no job {job!r}; {near(job, JOBS)}")
    checks = Checks(check)
    policy = find_model(model, checks)
    if job == "evaluate":
        check_evaluation(policy, checks)
        return
    if job == "train":
        check_training(policy, read_configs(training_configs), checks)
        return
    gpu_count = memory.typed_tensor_parallel_size(os.environ.get("VLLM_FLAGS", ""))
    if gpu_count:
        policy = replace(policy, tensor_parallel_size=gpu_count)
    ranking_model = find_model(reward_model or policy.reward_model, checks)
    plan = RunPlan(policy, ranking_model, plan_domains(policy, domain, count, scale))
    left = {}
    for planned in plan.domains:
        name = planned.domain.name
        left[name] = set(HALVES)
        if run_path:
            left[name] = run_folder.halves_left(Path(run_path, name), planned.problems)
    if not quick:
        check_generation(plan, set().union(*left.values()), checks, trust_remote_code)
    print_plan(plan, left)


if __name__ == "__main__":
    cli.run(main)
