"""Describe a finished run for people and programs, and print its table.

in    data/RUN/<domain>/        the four files of each domain and their .meta.json
out   data/RUN/<domain>/dataset_info.json, data/RUN/combined_dataset_info.json, data/RUN/README.md
      python exp/describe_run.py --run_path data/demo --model_path data/models/tiny

A domain whose problems are fewer than were asked for is called short. One that is not finished is
left out, named with the last line of its log, and makes the exit code 3.

Everything is counted from the files. If the model's problems are procedural (those of the embedded
one), each problem is read back: whether it is well formed and in its domain, what its true answer
is, and how often the response of the highest reward has it. With --elapsed_s, the seconds that
the run has taken, it says in how many of them the models were asked.
"""

import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from lib import cli, models, rows
from lib.errors import Shortfall, UserError
from lib.grading import answers
from lib.inference.endings import LENGTH
from lib.models import Model
from lib.progress import say, shown_path
from lib.report import engine_share, run_folder
from lib.tables import markdown, percent, share


class DomainFile(NamedTuple):
    """One of a domain's four files: the pattern of its name, and the stage that makes it."""

    name_pattern: str
    stage: str


FILES = {  # by their use
    "instructions": DomainFile("{}_ins.json", "gen_ins"),
    "sft_data": DomainFile("{}_ins_res.json", "gen_res"),
    "multi_response_data": DomainFile("{}_ins_7res.json", "gen_po_multi_res"),
    "preference_data": DomainFile("{}_ins_7res_armorm.json", "gen_po_rewards"),
}
META_KEYS = ("settings", "rows_in", "rows_out", "dropped", "seconds", "tokens", "notes")
SHARES_RIGHT = ("right_single", "right_random_of_ranked", "right_best_of_ranked")
CHECKED_BY = (
    "lib/tiny/problems.parse: well formed and in the asked domain; "
    "right: the true answer, over well-formed problems"
)

CHECKED_NOTE = (
    '"Well formed": the project\'s own parser reads the problem back in the asked domain. '
    '"Right": the answer is the one\nwhich that parser computes, over well-formed problems.'
)
NOT_IN_CARD = ("model", "domain")  # settings that are said elsewhere
CARD = "configs/run_card.md"


def describe(folder: Path, model: Model) -> dict:
    """dataset_info of one domain, from its files and their meta files."""
    domain = folder.name
    file_names = file_names_of(domain)
    tables, metas, stages = {}, {}, {}
    for use, file_name in file_names.items():
        tables[use] = rows.read(str(folder / file_name))
        metas[use] = run_folder.read_meta(folder / file_name)
        stages[FILES[use].stage] = {key: metas[use].get(key) for key in META_KEYS}
    facts = models.domains(model).get(domain)
    problems = [row["instruction"] for row in tables["instructions"]]
    finish_reasons = [row["finish_reason"] for row in tables["sft_data"]]
    finish_reasons_ranked = []
    for row in tables["preference_data"]:
        finish_reasons_ranked += row["finish_reasons"]
    info = {
        "domain": domain,
        "model": metas["instructions"]["settings"]["model"],
        "reward_model": metas["preference_data"]["settings"]["model"],
        "description": facts.description if facts else "",
        "problems": len(problems),
        "asked": metas["instructions"]["settings"].get("total_prompts", len(problems)),
        "exact_repeats": len(problems) - len(set(problems)),
        "sft_rows": len(tables["sft_data"]),
        "preference_rows": len(tables["preference_data"]),
        "truncated_share": _truncated_share(finish_reasons),
        "truncated_share_of_ranked": _truncated_share(finish_reasons_ranked),
        "finish_reasons": dict(Counter(finish_reasons)),
        "finish_reasons_of_ranked": dict(Counter(finish_reasons_ranked)),
        "stages": stages,
        "files": file_names,
    }
    if model.procedural:
        info["checked"] = check_procedural(domain, tables)
    return info


def file_names_of(domain: str) -> dict[str, str]:
    """The names of a domain's files by what they are for."""
    return {use: file.name_pattern.format(domain) for use, file in FILES.items()}


def _truncated_share(finish_reasons: list[str]) -> float | None:
    return share(finish_reasons.count(LENGTH), len(finish_reasons))


def check_procedural(domain: str, tables: dict[str, list[dict]]) -> dict:
    """How many problems parse in their domain, and the shares of right answers to these.

    The shares are those of the single answers, of all the ranked ones, and of the best ranked.
    """
    true_answers = _true_answers(domain, tables["instructions"])
    single_marks, ranked_marks, best_marks = [], [], []
    for row in tables["sft_data"]:
        true_answer = true_answers.get(row["instruction"])
        if true_answer is not None:
            single_marks.append(_is_right(row["response"], true_answer))
    for row in tables["preference_data"]:
        true_answer = true_answers.get(row["instruction"])
        if true_answer is not None:
            # The responses are in the order of their rewards, so that the first is the best.
            marks = [_is_right(response, true_answer) for response in row["responses"]]
            ranked_marks += marks
            best_marks.append(marks[0])
    return {
        "well_formed": len(true_answers),
        "well_formed_share": share(len(true_answers), len(tables["instructions"])),
        "right_single": share(sum(single_marks), len(single_marks)),
        "right_random_of_ranked": share(sum(ranked_marks), len(ranked_marks)),
        "right_best_of_ranked": share(sum(best_marks), len(best_marks)),
    }


def _true_answers(domain: str, problem_rows: list[dict]) -> dict[str, str]:
    """The true answer of each problem that is well formed and in the domain."""
    from lib.tiny import truth

    true_answers = {}
    for row in problem_rows:
        problem = row["instruction"]
        if truth.domain_of(problem) == domain:
            true_answers[problem] = str(truth.answer_of(problem))
    return true_answers


def _is_right(response: str, true_answer: str) -> bool:
    return answers.grade(response, true_answer, strict=True).correct


def is_finished(folder: Path) -> bool:
    """Whether all four files of a domain are there."""
    return all((folder / file_name).exists() for file_name in file_names_of(folder.name).values())


def short_lines(infos: list[dict]) -> list[str]:
    """`Short: discrete, 62 of 100 problems.` for each domain with fewer than were asked for."""
    lines = []
    for info in infos:
        if info["problems"] < info["asked"]:
            counts = f"{info['problems']:,} of {info['asked']:,} problems"
            lines.append(f"Short: {info['domain']}, {counts}.")
    return lines


def last_words(folder: Path) -> str:
    """The last line of the log of a domain that was written last; it says why the domain ended."""
    logs = sorted((folder / "logs").glob("gen_*.log"), key=lambda log: log.stat().st_mtime)
    if not logs:
        return "nothing was begun"
    lines = logs[-1].read_text(encoding="utf-8", errors="replace").split("\n")
    filled_lines = [line.strip() for line in lines if line.strip()]
    return filled_lines[-1] if filled_lines else "nothing was said"


def combine(infos: list[dict], model: Model, run_name: str) -> dict:
    """combined_dataset_info: the sums over the domains."""
    coverage = "Complete" if len(infos) > 1 else infos[0]["domain"]
    domains = {}
    for info in infos:
        domains[info["domain"]] = {
            "problems": info["problems"],
            "description": info["description"],
            "directory": info["domain"],
        }
    problems = sum(info["problems"] for info in infos)
    combined = {
        "dataset_name": f"Magpie-Math-{coverage}-{run_name}",
        "model": infos[0]["model"],
        "reward_model": infos[0]["reward_model"],
        "total_problems": problems,
        "generation_date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "domains": domains,
        "files_per_domain": {**file_names_of("<domain>"), "info": "dataset_info.json"},
    }
    if model.procedural:
        combined["checked"] = _combine_checks(infos, problems)
    return combined


def _combine_checks(infos: list[dict], problems: int) -> dict:
    """What was read back of the problems of all domains."""
    well_formed = exact_repeats = 0
    for info in infos:
        well_formed += info["checked"]["well_formed"]
        exact_repeats += info["exact_repeats"]
    combined_checks = {
        "by": CHECKED_BY,
        "well_formed_share": share(well_formed, problems),
        "exact_repeats": exact_repeats,
    }
    for key in SHARES_RIGHT:
        combined_checks[key] = share(_right_answers(infos, key), well_formed)
    return combined_checks


def _right_answers(infos: list[dict], share_key: str) -> float:
    """A share of the domains times their well-formed problems; a domain without any has none."""
    right_answers = 0
    for info in infos:
        checked = info["checked"]
        if checked["well_formed"]:
            right_answers += checked[share_key] * checked["well_formed"]
    return right_answers


def table(infos: list[dict], combined: dict) -> list[str]:
    """The run as a Markdown table, a line a domain and one for the whole."""
    lines = []
    for info in infos:
        lines.append(_table_line({**info, "dropped": _dropped_attempts(info)}))
    lines.append(_table_line(_whole(infos, combined)))
    columns = {}
    for title in lines[0]:
        columns[title] = [line[title] for line in lines]
    return markdown(columns)


def _dropped_attempts(info: dict) -> int:
    return sum(info["stages"]["gen_ins"]["dropped"].values())


def _whole(infos: list[dict], combined: dict) -> dict:
    """What the table's last line shows, under the keys of an info."""
    whole = {"domain": "all", "problems": 0, "dropped": 0, "sft_rows": 0, "preference_rows": 0}
    truncated_rows = 0
    for info in infos:
        for key in ("problems", "sft_rows", "preference_rows"):
            whole[key] += info[key]
        whole["dropped"] += _dropped_attempts(info)
        truncated_rows += info["truncated_share"] * info["sft_rows"]
    whole["truncated_share"] = truncated_rows / whole["sft_rows"]
    if "checked" in combined:
        whole["checked"] = combined["checked"]
    return whole


def _table_line(facts: dict) -> dict[str, str]:
    """The cells of a line by the titles of their columns."""
    line = {
        "domain": facts["domain"],
        "problems": f"{facts['problems']:,}",
        "dropped": f"{facts['dropped']:,}",
        "SFT rows": f"{facts['sft_rows']:,}",
        "ranked rows": f"{facts['preference_rows']:,}",
        "truncated": percent(facts["truncated_share"]),
    }
    if "checked" in facts:
        checked = facts["checked"]
        line["well formed"] = percent(checked["well_formed_share"])
        line["right: single"] = percent(checked["right_single"])
        line["random of 7"] = percent(checked["right_random_of_ranked"])
        line["best of 7"] = percent(checked["right_best_of_ranked"])
    return line


def card(combined: dict, infos: list[dict], table_lines: list[str]) -> str:
    """README.md of a run: its true counts and true settings."""
    settings_lines = ["| domain | stage | settings |", "| --- | --- | --- |"]
    for info in infos:
        for stage, record in info["stages"].items():
            settings = _settings_in_words(record["settings"])
            settings_lines.append(f"| {info['domain']} | {stage} | {settings} |")
    template = (rows.ROOT / CARD).read_text(encoding="utf-8")
    return template.format(
        name=combined["dataset_name"],
        problems=f"{combined['total_problems']:,}",
        model=combined["model"],
        reward_model=combined["reward_model"],
        date=combined["generation_date"][:10],
        table="\n".join(table_lines),
        checked=CHECKED_NOTE if "checked" in combined else "",
        settings="\n".join(settings_lines),
        first=infos[0]["domain"],
    )


def _settings_in_words(settings: dict) -> str:
    """`seed 3, temperature 0.9`; a dash without settings."""
    phrases = []
    for setting, value in settings.items():
        if setting not in NOT_IN_CARD:
            in_a_cell = " ".join(str(value).split()).replace("|", "\\|")
            phrases.append(f"{setting} {in_a_cell}")
    return ", ".join(phrases) or "–"


def main(run_path: str, model_path: str, elapsed_s: float = 0.0):
    model, run = models.find(model_path), Path(run_path)
    known_domains = list(models.domains(model))
    begun_domains = run_folder.in_order(run_folder.begun_domains_of(run), known_domains)
    domains = [domain for domain in begun_domains if is_finished(run / domain)]
    failed_domains = [domain for domain in begun_domains if domain not in domains]
    failures = [f"{domain}: {last_words(run / domain)}" for domain in failed_domains]
    if not domains:
        raise UserError(f"{run}: no domain is finished; {'; '.join(failures)}")
    say(f"describing {', '.join(domains)} of {shown_path(run)}")
    infos = [describe(run / domain, model) for domain in domains]
    combined = combine(infos, model, run.resolve().name)
    table_lines = table(infos, combined)
    remarks = short_lines(infos)
    for failure in failures:
        remarks.append(f"Not finished: {failure}")
    if remarks:
        table_lines += ["", *remarks]
    for info in infos:
        rows.write_json(run / info["domain"] / "dataset_info.json", info)
    rows.write_json(run / "combined_dataset_info.json", combined)
    card_path = run / "README.md"
    card_text = card(combined, infos, table_lines)
    rows.write_whole(card_path, card_text.encode())
    print("\n".join(table_lines))
    if model.procedural:
        best_share = percent(combined["checked"]["right_best_of_ranked"])
        random_share = percent(combined["checked"]["right_random_of_ranked"])
        best_is_right = f"The best-scored of 7 responses is right in {best_share} of the problems"
        print(f"\n{best_is_right}, a random one in {random_share}.")
    metas = [file.meta for file in run_folder.find(run)]
    asked_share = engine_share.in_words(metas, elapsed_s, now=time.time())
    if asked_share:
        print(f"\n{asked_share}")
    print(f"\nDataset: {shown_path(run)}   (settings and use: {shown_path(card_path)})")
    if failed_domains:
        raise Shortfall(f"not finished: {', '.join(failed_domains)}; the others are described")


if __name__ == "__main__":
    cli.run(main)
