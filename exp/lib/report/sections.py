"""The sections of a run's report: its figures as tables and charts. Titles and captions are the template's."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from markupsafe import Markup

from lib.evaluation import metrics
from lib.progress import clock
from lib.quality.diversity import Curve
from lib.report import charts
from lib.report.figures import READABLE, Domain, Votes
from lib.report.run_folder import Made
from lib.tables import percent

FEWEST = 50  # problems of a domain, below which its curve says nothing of where it leads
MARKS = ("right", "wrong", "no answer", "truncated")


@dataclass(frozen=True)
class Table:
    """Cells as text; `words` are the columns that hold words and so stand to the left, as numbers stand to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: tuple[int, ...] = (0,)
    total: bool = False  # whether the last row sums up the others


def spoken(name: str) -> str:
    """`number theory` for number_theory."""
    return name.replace("_", " ")


def reward(value: float) -> str:
    """A raw reward to three digits, its minus as wide as a digit."""
    return f"{value:.3f}".replace("-", "−")


def flow(made: list[Made]) -> dict:
    """Each stage's rows in, out and dropped, and its cost, summed over its domains."""
    stages: dict[str, list[Made]] = {}
    for m in made:
        stages.setdefault(m.meta["stage"], []).append(m)
    table, drawn, most = [], [], 0
    for stage, files in stages.items():
        figures = ("rows_in", "rows_out", "tokens", "asking_seconds")
        came, left, tokens, asking = (sum(f.meta.get(k) or 0 for f in files) for k in figures)
        reasons = sum((Counter(f.meta["dropped"]) for f in files), Counter())
        lost, most = reasons.total(), max(most, came)
        balance = f"{left:,} + {lost:,} {'✓' if came == left + lost else '✗'}"
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        took, rate = (
            clock(sum(f.meta["seconds"] for f in files)),
            f"{tokens / asking:,.0f}" if tokens and asking else "–",
        )
        table.append(
            [stage, f"{came:,}", balance, why or "–", f"{tokens:,}" if tokens else "–", took, rate]
        )
        drawn.append((stage, (left, lost), f"{came:,} → {left:,}" if lost else f"{left:,}"))
    return {
        "table": Table(
            ["stage", "rows in", "= out + dropped", "why dropped", "tokens", "time", "tokens/s"],
            table,
            (0, 3),
        ),
        "chart": charts.bars("Rows in and out of each stage", drawn, ("kept", "dropped"), most),
    }


def domains(found: list[Domain]) -> Table:
    """Counts and shares of each domain, and of all together."""
    columns: dict[str, Callable[[list[Domain]], str]] = {
        "problems": lambda ds: f"{sum(d.problems for d in ds):,}",
        "median words": lambda ds: (
            f"{median(w for d in ds for w in d.words):.0f}" if any(d.words for d in ds) else "–"
        ),
    }
    if sum(d.well_formed for d in found) >= READABLE * sum(d.problems for d in found):
        columns["well formed"] = lambda ds: percent(
            sum(d.well_formed for d in ds), sum(d.problems for d in ds) or 1
        )
    for kind in ("answered", "sampled"):
        if any(kind in d.ends for d in found):
            columns[f"cut off, {kind}"] = lambda ds, kind=kind: _cut_off(
                [d.ends[kind] for d in ds if kind in d.ends]
            )
    if any(d.best for d in found):
        columns["mean reward"] = lambda ds: _mean([v for d in ds for v in d.best + d.others])
        columns["of the best"] = lambda ds: _mean([v for d in ds for v in d.best])
    body = [[spoken(d.name), *(show([d]) for show in columns.values())] for d in found]
    if len(found) > 1:
        body.append(["all", *(show(found) for show in columns.values())])
    return Table(["domain", *columns], body, total=len(found) > 1)


def _cut_off(ends: list[Counter]) -> str:
    return (
        percent(sum(e["length"] for e in ends), sum(e.total() for e in ends)) if any(ends) else "–"
    )


def _mean(values: Sequence[float]) -> str:
    return reward(fmean(values)) if values else "–"


def variety(found: list[Domain]) -> dict:
    """How much is new in each domain as its problems grow, and where more of them would not help."""
    body, curves = [], {spoken(d.name): d.curve for d in found if d.curve}
    for name, c in curves.items():
        count = c.counts[-1]
        spent = "not reached" if c.spent_at is None else f"about {float(f'{c.spent_at:.2g}'):,.0f}"
        shares = (
            c.repeated[-1],
            c.new_texts,
            *(curve[-1] for curve in c.distinct.values()),
            *c.new_ngrams.values(),
        )
        body.append(
            [
                name,
                f"{count:,}",
                *map(percent, shares),
                spent if count >= FEWEST else "too few to say",
            ]
        )
    orders = list(next(iter(curves.values())).distinct)
    head = ["domain", "problems", "near\u2011duplicates", "new in last tenth", *(f"distinct\u2011{n}" for n in orders),
            *(f"new {n}\u2011grams" for n in orders), "every second repeats at"]  # fmt: skip

    def drawn(title: str, label: str, shares: Callable[[Curve], list[float]]) -> Markup:
        points = {name: list(zip(c.counts, shares(c), strict=True)) for name, c in curves.items()}
        return charts.lines(
            f"{title} against the number of problems, by domain",
            "problems, as they were made",
            label,
            points,
        )

    n = orders[-1]
    return {
        "table": Table(head, body),
        "repeated": drawn(
            "Near-duplicates", "share that resembles an earlier problem", lambda c: c.repeated
        ),
        "distinct": drawn(
            f"Distinct {n}-grams",
            f"distinct share of all runs of {n} words",
            lambda c: c.distinct[n],
        ),
        "order": n,
    }


def lengths(found: list[Domain]) -> dict:
    """Histograms of problems and of responses, those that were cut off apart."""
    problems = {"problems": [w for d in found for w in d.words]}
    responses = {
        kind: [n for d in found for n in d.lengths[kind]] for kind in ("finished", "truncated")
    }
    groups = {kind: values for kind, values in responses.items() if values}
    return {
        "problems": charts.histogram("Length of the problems", "words", "problems", problems),
        "responses": charts.histogram("Length of the responses", "characters", "responses", groups)
        if groups
        else None,
    }


def rewards(found: list[Domain], votes: Votes | None, pairs: dict[str, list[float]]) -> list[dict]:
    """Rewards of two groups each: the chart, names, means, and how often one of the first is above one of the second."""
    groups = [
        {"best": [v for d in found for v in d.best], "others": [v for d in found for v in d.others]}
    ]
    groups += [votes.rewards, pairs] if votes else [pairs]
    shown = []
    for group in groups:
        if all(group.values()):
            (first, ours), (second, theirs) = group.items()
            chart = charts.histogram(
                f"Rewards of {first} and {second} responses",
                "reward, raw",
                "each group",
                group,
                False,
            )
            shown.append({"names": [first, second], "means": [_mean(ours), _mean(theirs)], "chart": chart,
                          "above": percent(_above(ours, theirs))})  # fmt: skip
    return shown


def _above(first: Sequence[float], second: Sequence[float]) -> float:
    """The chance that one of `first` is greater than one of `second`, ties half: the area under the ROC curve."""
    ranks = sorted(second)
    return sum(bisect_left(ranks, v) + bisect_right(ranks, v) for v in first) / (
        2 * len(first) * len(second)
    )


def agreement(votes: Votes) -> dict:
    """How many problems have how many votes, what the pseudo-gold of so many is worth, and every domain's marks."""
    of = max(n for _, n in votes.levels)
    known = _named(
        {level: Counter(right=right, all=n) for level, (right, n) in votes.precision.items()}, of
    )
    worth = []
    for name, c in known:
        low, high = metrics.wilson(c["right"], c["all"])
        worth.append((name, low, c["right"] / c["all"], high, f"{c['right']:,}/{c['all']:,}"))
    marks = [
        (spoken(name) or "all", [c[mark] / c.total() for mark in MARKS], "")
        for name, c in votes.marks.items()
    ]
    title = "Share of pseudo-golds that are true, by votes"
    return {
        "levels": _bars("Problems by votes for the pseudo-gold", votes.levels, of),
        "difficulty": None
        if votes.right == votes.levels
        else _bars("Problems by right responses", votes.right, of),
        "worth": charts.intervals(title, "share that is the true answer", worth) if worth else None,
        "true": percent(sum(c["right"] for _, c in known), sum(c["all"] for _, c in known))
        if known
        else None,
        "marks": charts.bars(
            "Marks of the responses by domain", marks, MARKS, 1, lambda part: f"{part:.1%}"
        ),
    }


def _named(found: dict[tuple[int, int], Counter], of: int) -> list[tuple[str, Counter]]:
    """Counts by (votes, responses) under names, most votes first: `5 of 7`, or tenths where there are more than 12 responses."""
    merged: dict[str, Counter] = {}
    for votes, n in sorted(found, key=lambda level: (-level[0] / level[1], level)):
        tenth = min(9, 10 * votes // n)
        name = f"{votes} of {n}" if of <= 12 else f"{10 * tenth}–{10 * tenth + 10}%"
        merged.setdefault(name, Counter()).update(found[votes, n])
    return list(merged.items())


def _bars(title: str, levels: Counter, of: int) -> Markup:
    named = _named({level: Counter(all=n) for level, n in levels.items()}, of)
    drawn = [
        (name, (c["all"],), f"{c['all']:,} · {percent(c['all'], levels.total())}")
        for name, c in named
    ]
    return charts.bars(title, drawn, ("problems",), max(c["all"] for _, c in named))
