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
from lib.rows import ROOT
from lib.tables import markdown


def every_case(suite: list[lint.Scored]) -> list[str]:
    """A table of all cases: what each reward pays, the weighted total, why the case is there."""
    columns = {
        "case": [entry.case.name for entry in suite],
        "kind": [entry.case.kind for entry in suite],
        "gold": [entry.gold for entry in suite],
    }
    for name in suite[0].parts:
        columns[name] = [f"{entry.parts[name]:g}" for entry in suite]
    columns["total"] = [f"{entry.total:g}" for entry in suite]
    columns["why"] = [entry.case.reason for entry in suite]
    return markdown(columns)


def extremes(suite: list[lint.Scored]) -> dict[str, float]:
    """The least and the best totals of each kind of case that the order depends on."""
    totals: dict[str, list[float]] = {}
    for entry in suite:
        totals.setdefault(entry.case.kind, []).append(entry.total)
    return {
        "right, least": min(totals["right"]),
        "wrong, best": max(totals["wrong"]),
        "wrong, least": min(totals["wrong"]),
        "empty, best": max(totals["empty"]),
        "cheat, best": max(totals["cheat"]),
    }


def summary(
    suites: dict[str, list[lint.Scored]], findings: dict[str, list[lint.Finding]]
) -> list[str]:
    """A table with a row a layout: the extremes, and the verdict."""
    columns: dict[str, list[str]] = {"layout": list(suites)}
    for suite in suites.values():
        for title, total in extremes(suite).items():
            columns.setdefault(title, []).append(f"{total:g}")
    columns["verdict"] = []
    for name in suites:
        count = len(findings[name])
        columns["verdict"].append(f"refused: {count}" if count else "ok")
    return markdown(columns)


def main(rewards: str = "format_exact=1,answer=1", format: str = "", verbose: bool = False):
    weighted = registry.parse(rewards)
    known = yaml.safe_load((ROOT / "configs/formats.yaml").read_text(encoding="utf-8"))
    layouts = [formats.find(name) for name in ([format] if format else known)]
    suites = {layout.name: lint.score(weighted, layout) for layout in layouts}
    findings = {layout.name: lint.findings(weighted, layout) for layout in layouts}
    if verbose:
        for name, suite in suites.items():
            print("\n".join([f"## {name}", "", *every_case(suite), ""]))
    print("\n".join(summary(suites, findings)))
    all_findings = [finding for of_layout in findings.values() for finding in of_layout]
    if all_findings:
        lines = [f"- {finding}" for finding in all_findings]
        print("\n".join(["", *lines]))
        count, first = len(all_findings), all_findings[0]
        raise UserError(f"--rewards {rewards}: {count} findings, the first: {first}")


if __name__ == "__main__":
    cli.run(main)
