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
    files_of_domains: dict[str, dict[str, RunFile]] = {}
    for file in files:
        if file.domain is not None:
            files_by_kind = files_of_domains.setdefault(file.domain, {})
            files_by_kind[file.kind] = file
    return files_of_domains


def problem_count(files: list[RunFile]) -> int:
    problems = 0
    for file in files:
        if file.kind == "problems":
            problems += file.meta["rows_out"]
    return problems


def missing(files: list[RunFile], unfinished_files: list[str]) -> list[str]:
    """What the page goes without, in a line each."""
    kinds = {file.kind for file in files}
    left_out = "so figures of agreement and right answers are left out."
    lines = []
    if unfinished_files:
        lines.append(f"Not finished yet: {', '.join(unfinished_files)}.")
    if not kinds & run_folder.REFINED.keys():
        lines.append(f"Not refined: nothing is cleaned or majority-voted, {left_out}")
    elif "voted" not in kinds:
        lines.append(f"Not majority-voted, {left_out}")
    return lines


def count_domains(
    run_name: str, files: list[RunFile], examples: figures.Examples | None
) -> list[figures.Domain]:
    """The figures of each domain, while a line shows how far the reading is."""
    domains: list[figures.Domain] = []
    counted_problems = 0
    progress = Progress(run_name, problem_count(files), done=0)
    for domain_name, domain_files in by_domain(files).items():
        domain = figures.count_domain(domain_name, domain_files, examples)
        domains.append(domain)
        counted_problems += domain.problems
        progress.advance(counted_problems)
    progress.close()
    return domains


def page(run: Path, files: list[RunFile], examples: figures.Examples) -> dict:
    """What the template shows."""
    refined_files = {file.kind: file for file in files if file.domain is None}
    voted_file = refined_files.get("voted")
    has_votes = voted_file is not None and voted_file.meta["rows_out"] > 0
    domains = count_domains(run.name, files, None if has_votes else examples)
    whole = figures.together(domains)
    votes = None
    if has_votes:
        votes = figures.count_votes(run_folder.read(voted_file, VOTED_KEYS), examples)
    pairs = {"chosen": [], "rejected": []}
    if "pairs" in refined_files:
        pairs = figures.count_pairs(refined_files["pairs"])
    shown_examples = {}
    for group, example_rows in examples.groups().items():
        shown_examples[group] = [facts.example(row) for row in example_rows]
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
    template = environment.get_template(TEMPLATE)
    return template.render(content).encode("utf-8", errors="backslashreplace")


def main(run_path: str, save_path: str = "", examples: int = 3, seed: int = 0):
    run = Path(run_path)
    report_path = Path(save_path or run / "report.html")
    if examples < 0:
        raise UserError(f"--examples {examples}: 0 or more")
    files = run_folder.find(run)
    problems = problem_count(files)
    if not problems:
        raise UserError(f"{run}: its domains hold no problems, so there is nothing to report")
    extent = f"{problems:,} problems in {len(by_domain(files))} domains"
    say(f"report of {shown_path(run)}, {extent} -> {shown_path(report_path)}")
    content = page(run, files, figures.Examples(examples, seed))
    html = render(content)
    report_path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_whole(report_path, html)
    say(f"wrote {shown_path(report_path)}: {len(html) / 1000:,.0f} kB")


if __name__ == "__main__":
    cli.run(main)
