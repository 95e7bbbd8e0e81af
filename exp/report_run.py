"""Show a run as one static page: its flow, figures, examples and settings.

in    data/RUN/<domain>/    the files of each domain and their .meta.json; where they exist refined/ (of clean_ins, vote_res,
                            prep_sft, prep_pairs), combined_dataset_info.json and comparison.json
out   data/RUN/report.html  one file without script or anything to fetch; --save_path names another
      python exp/report_run.py --run_path data/demo

Everything is counted from the files, row by row, and the same files give the same page. Shown are the --examples problems whose
best response has the highest reward, those of the lowest, and as many drawn by --seed: verified ones where there are any.
"""

from pathlib import Path

from lib import cli, rows
from lib.errors import UserError
from lib.progress import Progress, say
from lib.quality.diversity import REACH
from lib.report import facts, figures, mathml, run_folder, sections
from lib.report.run_folder import Made

TEMPLATE = "report.html.j2"
NEED = ("instruction", "responses", "finish_reasons", "marks", "answer", "agreement", "difficulty")


def by_domain(made: list[Made]) -> dict[str, dict[str, Made]]:
    """The files of each domain by kind, the domains in order."""
    found: dict[str, dict[str, Made]] = {}
    for m in made:
        if m.domain is not None:
            found.setdefault(m.domain, {})[m.kind] = m
    return found


def missing(made: list[Made], growing: list[str]) -> list[str]:
    """What the page goes without, in a line each."""
    kinds = {m.kind for m in made}
    lines = [f"Not finished yet: {', '.join(growing)}."] if growing else []
    if not kinds & run_folder.REFINED.keys():
        lines.append(
            "Not refined: nothing is cleaned or verified, so figures of agreement and right answers are left out."
        )
    elif "verified" not in kinds:
        lines.append("Not verified: figures of agreement and right answers are left out.")
    return lines


def page(run: Path, made: list[Made], examples: figures.Examples) -> dict:
    """What the template shows."""
    verified = next((m for m in made if m.kind == "verified" and m.meta["rows_out"]), None)
    found: list[figures.Domain] = []
    shown = Progress(
        run.name, sum(m.meta["rows_out"] for m in made if m.kind in ("problems", "verified")), 0
    )
    for name, files in by_domain(
        made
    ).items():  # their examples only where there are no verified ones
        found.append(figures.of_domain(name, files, None if verified else examples))
        shown.advance(sum(d.problems for d in found), 0, 0)
    votes = figures.of_votes(run_folder.read(verified, NEED), examples) if verified else None
    shown.close()
    pairs = next(
        (figures.of_pairs(m) for m in made if m.kind == "pairs"), {"chosen": [], "rejected": []}
    )
    table, prompts = facts.settings(made)
    return {
        "name": run.resolve().name,
        "domain_count": len(found),
        "missing": missing(made, run_folder.growing(run)),
        "sums": facts.sums(made),
        "origin": facts.origin(made, run_folder.info(run)),
        "flow": sections.flow(made),
        "domains": sections.domains(found),
        "variety": sections.variety(found),
        "reach": REACH,
        "lengths": sections.lengths(found),
        "rewards": sections.rewards(found, votes, pairs),
        "agreement": sections.agreement(votes) if votes else None,
        "examples": {
            group: [facts.example(row) for row in some] for group, some in examples.groups().items()
        },
        "settings": table,
        "prompts": prompts,
        "comparison": facts.comparison(run / "comparison.json"),
    }


def render(filled: dict) -> bytes:
    """The template with everything escaped but what lib/report/mathml and lib/report/charts made."""
    import jinja2

    loader = jinja2.FileSystemLoader(rows.ROOT / "configs")
    found = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    found.filters |= {"tex": mathml.to_html, "plain": mathml.plain}
    return found.get_template(TEMPLATE).render(filled).encode("utf-8", errors="backslashreplace")


def main(run_path: str, save_path: str = "", examples: int = 3, seed: int = 0):
    run = Path(run_path)
    target = Path(save_path or run / "report.html")
    if examples < 0:
        raise UserError(f"--examples {examples}: 0 or more")
    made = run_folder.find(run)
    problems = sum(m.meta["rows_out"] for m in made if m.kind == "problems")
    if not problems:
        raise UserError(f"{run}: its domains hold no problems, so there is nothing to report")
    say(f"report of {run}, {problems:,} problems in {len(by_domain(made))} domains -> {target}")
    data = render(page(run, made, figures.Examples(examples, seed)))
    target.parent.mkdir(parents=True, exist_ok=True)
    rows.write_whole(target, data)
    say(f"wrote {target}: {len(data) / 1000:,.0f} kB")


if __name__ == "__main__":
    cli.run(main)
