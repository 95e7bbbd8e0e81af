"""Show a run as one static page: its flow, figures, examples and settings.

in    data/RUN/<domain>/    the files of each domain and their .meta.json; where they exist
                            refined/ (of clean_ins, vote_res, prep_sft, prep_pairs),
                            combined_dataset_info.json and comparison.json
out   data/RUN/report.html  one file without script or anything to fetch; --save_path names another
      python exp/report_run.py --run_path data/demo

Everything is counted from the files, row by row, and the same files give the same page. It shows
the --examples problems whose best response has the highest reward, those of the lowest, and as many
drawn by --seed: majority-voted ones where there are any.
"""

from pathlib import Path

from lib import cli, rows
from lib.errors import UserError
from lib.progress import Progress, say, shown_path
from lib.quality.diversity import REACH
from lib.report import charts, facts, figures, mathml, run_folder, sections
from lib.report.run_folder import RunFile

TEMPLATE = "report.html.j2"
VOTED_KEYS = (
    "instruction",
    "responses",
    "finish_reasons",
    "marks",
    "answer",
    "agreement",
    "difficulty",
)


def by_domain(files: list[RunFile]) -> dict[str, dict[str, RunFile]]:
    """The files of each domain by kind, the domains in order."""
    domains: dict[str, dict[str, RunFile]] = {}
    for file in files:
        if file.domain is not None:
            domains.setdefault(file.domain, {})[file.kind] = file
    return domains


def problem_count(files: list[RunFile]) -> int:
    return sum(file.meta["rows_out"] for file in files if file.kind == "problems")


def missing(files: list[RunFile], unfinished: list[str]) -> list[str]:
    """What the page goes without, in a line each."""
    kinds = {file.kind for file in files}
    left_out = "so figures of agreement and right answers are left out."
    lines = [f"Not finished yet: {', '.join(unfinished)}."] if unfinished else []
    if not kinds & run_folder.REFINED.keys():
        lines.append(f"Not refined: nothing is cleaned or majority-voted, {left_out}")
    elif "voted" not in kinds:
        lines.append(f"Not majority-voted, {left_out}")
    return lines


def page(run: Path, files: list[RunFile], examples: figures.Examples) -> dict:
    """What the template shows."""
    refined = {file.kind: file for file in files if file.domain is None}
    voted = refined.get("voted")
    has_votes = voted is not None and voted.meta["rows_out"] > 0
    examples_of_domains = None if has_votes else examples
    progress = Progress(run.name, problem_count(files), done=0)
    domains: list[figures.Domain] = []
    for name, domain_files in by_domain(files).items():
        domains.append(figures.count_domain(name, domain_files, examples_of_domains))
        progress.advance(sum(domain.problems for domain in domains))
    progress.close()
    votes = None
    if has_votes:
        votes = figures.count_votes(run_folder.read(voted, VOTED_KEYS), examples)
    pairs = {"chosen": [], "rejected": []}
    if "pairs" in refined:
        pairs = figures.count_pairs(refined["pairs"])
    shown_examples = {}
    for group, example_rows in examples.groups().items():
        shown_examples[group] = [facts.example(row) for row in example_rows]
    whole = figures.together(domains)
    settings, prompts = facts.settings(files)
    return {
        "colours": {"light": charts.LIGHT, "dark": charts.DARK},
        "name": run.resolve().name,
        "domain_count": len(domains),
        "missing": missing(files, run_folder.unfinished(run)),
        "sums": facts.sums(files),
        "origin": facts.origin(files, run_folder.info(run)),
        "flow": sections.flow(files),
        "domains": sections.domains(domains, whole),
        "variety": sections.variety(domains),
        "reach": REACH,
        "lengths": sections.lengths(whole),
        "rewards": sections.rewards(whole, votes, pairs),
        "agreement": sections.agreement(votes) if votes else None,
        "examples": shown_examples,
        "settings": settings,
        "prompts": prompts,
        "comparison": facts.comparison(run / "comparison.json"),
    }


def render(content: dict) -> bytes:
    """The page; all is escaped but what lib/report/mathml and lib/report/charts made."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(rows.ROOT / "configs"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"tex": mathml.to_html, "plain": mathml.plain}
    text = environment.get_template(TEMPLATE).render(content)
    return text.encode("utf-8", errors="backslashreplace")


def main(run_path: str, save_path: str = "", examples: int = 3, seed: int = 0):
    run = Path(run_path)
    target = Path(save_path or run / "report.html")
    if examples < 0:
        raise UserError(f"--examples {examples}: 0 or more")
    files = run_folder.find(run)
    problems = problem_count(files)
    if not problems:
        raise UserError(f"{run}: its domains hold no problems, so there is nothing to report")
    what = f"{problems:,} problems in {len(by_domain(files))} domains"
    say(f"report of {shown_path(run)}, {what} -> {shown_path(target)}")
    data = render(page(run, files, figures.Examples(examples, seed)))
    target.parent.mkdir(parents=True, exist_ok=True)
    rows.write_whole(target, data)
    say(f"wrote {shown_path(target)}: {len(data) / 1000:,.0f} kB")


if __name__ == "__main__":
    cli.run(main)
