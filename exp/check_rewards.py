"""Check that rewards pay right answers more than wrong ones, and no cheat more than honest ones.

in    configs/formats.yaml   the layouts; the answers to try and the order asked of them are in
                             lib/rewards/lint.py
out   stdout                 a Markdown table, a row a layout, then a line a finding
      python exp/check_rewards.py --rewards format_exact=1,answer=1 --format working_out

--rewards names rewards of lib/rewards with their weights. Without --format every layout is checked.
Exit code 2 if anything is found: grpo refuses to train with such rewards.
"""

import yaml

from lib import cli
from lib.errors import UserError
from lib.grading import formats
from lib.rewards import lint, registry
from lib.rewards.lint import Finding, ScoredCase
from lib.rows import ROOT
from lib.tables import markdown


def every_case(suite: list[ScoredCase]) -> list[str]:
    """A table with a row a case."""
    columns: dict[str, list[str]] = {}
    for scored_case in suite:
        for title, cell in case_cells(scored_case).items():
            columns.setdefault(title, []).append(cell)
    return markdown(columns)


def case_cells(scored_case: ScoredCase) -> dict[str, str]:
    """What each reward pays a case, the weighted total, and why the case is there, by title."""
    case = scored_case.case
    cells = {"case": case.name, "kind": case.kind, "gold": scored_case.gold}
    for reward_name, score in scored_case.parts.items():
        cells[reward_name] = f"{score:g}"
    cells["total"] = f"{scored_case.total:g}"
    cells["why"] = case.reason
    return cells


def extremes(suite: list[ScoredCase]) -> dict[str, float]:
    """The least and the best totals of each kind of case that the order depends on."""
    totals: dict[str, list[float]] = {}  # by the kind of the case
    for scored_case in suite:
        kind = scored_case.case.kind
        totals.setdefault(kind, []).append(scored_case.total)
    return {
        "right, least": min(totals["right"]),
        "wrong, best": max(totals["wrong"]),
        "wrong, least": min(totals["wrong"]),
        "empty, best": max(totals["empty"]),
        "cheat, best": max(totals["cheat"]),
    }


def summary(suites: dict[str, list[ScoredCase]], findings: dict[str, list[Finding]]) -> list[str]:
    """A table with a row a layout: the extremes, and the verdict."""
    columns: dict[str, list[str]] = {"layout": list(suites)}
    verdicts = []
    for layout_name, suite in suites.items():
        for title, total in extremes(suite).items():
            cell = f"{total:g}"
            columns.setdefault(title, []).append(cell)
        count = len(findings[layout_name])
        verdicts.append(f"refused: {count}" if count else "ok")
    columns["verdict"] = verdicts
    return markdown(columns)


def known_layouts() -> list[str]:
    """The names of the layouts in configs/formats.yaml."""
    formats_path = ROOT / "configs/formats.yaml"
    layouts = yaml.safe_load(formats_path.read_text(encoding="utf-8"))
    return list(layouts)


def main(rewards: str = "format_exact=1,answer=1", format: str = "", verbose: bool = False):
    weighted_rewards = registry.parse(rewards)
    suites = {}  # by the layout's name, as are the findings
    findings = {}
    all_findings = []
    layout_names = [format] if format else known_layouts()
    for layout_name in layout_names:
        layout = formats.find(layout_name)
        suites[layout_name] = lint.score(weighted_rewards, layout)
        findings[layout_name] = lint.findings(weighted_rewards, layout)
        all_findings += findings[layout_name]
    if verbose:
        for layout_name, suite in suites.items():
            table = every_case(suite)
            print("\n".join([f"## {layout_name}", "", *table, ""]))
    print("\n".join(summary(suites, findings)))
    if all_findings:
        print()
        for finding in all_findings:
            print(f"- {finding}")
        count, first_finding = len(all_findings), all_findings[0]
        raise UserError(f"--rewards {rewards}: {count} findings, the first: {first_finding}")


if __name__ == "__main__":
    cli.run(main)
