"""Check that a set of rewards pays right answers more than wrong ones, and no cheat more than an honest answer.

in    configs/formats.yaml   the layouts; the answers to try and the order asked of them are in lib/rewards/lint.py
out   stdout                 a Markdown table, a row a layout, then a line a finding
      python exp/check_rewards.py --rewards format_exact=1,answer=1 --format working_out

--rewards names rewards of lib/rewards with their weights. Without --format every layout is checked. Exit code 2 where
anything is found: grpo refuses to train with such rewards.
"""

import yaml

from lib import cli
from lib.errors import UserError
from lib.grading import formats
from lib.rewards import lint
from lib.rewards import registry as known_rewards
from lib.rows import ROOT
from lib.tables import markdown

# What a row of the summary shows of each kind of case, over all gold answers.
ENDS = {"right, least": ("right", min), "wrong, best": ("wrong", max), "wrong, least": ("wrong", min),
        "empty, best": ("empty", max), "cheat, best": ("cheat", max)}  # fmt: skip


def every_case(suite: list[lint.Scored]) -> list[str]:
    """A table of all cases: what each reward pays before its weight, the weighted total, and why the case is there."""
    columns = {
        "case": [s.case.name for s in suite],
        "kind": [s.case.kind for s in suite],
        "gold": [s.gold for s in suite],
    }
    columns |= {name: [f"{s.parts[name]:g}" for s in suite] for name in suite[0].parts}
    return markdown(
        columns | {"total": [f"{s.total:g}" for s in suite], "why": [s.case.reason for s in suite]}
    )


def summary(
    suites: dict[str, list[lint.Scored]], findings: dict[str, list[lint.Finding]]
) -> list[str]:
    """A table with a row a layout: the totals at the ends of each kind, and the verdict."""
    columns = {"layout": list(suites)}
    for head, (kind, end) in ENDS.items():
        columns[head] = [
            f"{end(s.total for s in suite if s.case.kind == kind):g}" for suite in suites.values()
        ]
    return markdown(
        columns
        | {
            "verdict": [
                f"refused: {len(findings[name])}" if findings[name] else "ok" for name in suites
            ]
        }
    )


def main(rewards: str = "format_exact=1,answer=1", format: str = "", verbose: bool = False):
    spec = known_rewards.find(rewards)
    table = yaml.safe_load((ROOT / "configs/formats.yaml").read_text(encoding="utf-8"))
    layouts = [formats.find(name) for name in ([format] if format else table)]
    suites = {layout.name: lint.scored(spec, layout) for layout in layouts}
    findings = {layout.name: lint.lint(spec, layout) for layout in layouts}
    if verbose:
        for name, suite in suites.items():
            print("\n".join([f"## {name}", "", *every_case(suite), ""]))
    print("\n".join(summary(suites, findings)))
    if found := [finding for layout in findings.values() for finding in layout]:
        print("\n".join(["", *(f"- {finding}" for finding in found)]))
        raise UserError(f"--rewards {rewards}: {len(found)} findings, the first: {found[0]}")


if __name__ == "__main__":
    cli.run(main)
