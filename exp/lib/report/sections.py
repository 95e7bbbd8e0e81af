"""The sections of a run's report: its figures as tables and charts.

Titles and captions are the template's.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from markupsafe import Markup

from lib.evaluation import metrics
from lib.progress import clock
from lib.quality.diversity import Curve
from lib.report import charts
from lib.report.figures import READABLE, Domain, Level, Votes
from lib.report.run_folder import RunFile
from lib.tables import percent

FEWEST = 50  # problems of a domain, below which its curve says nothing of where it leads
MARKS = ("right", "wrong", "no answer", "truncated")
MOST_LEVELS = 12  # responses a problem, above which votes are shown in tenths


@dataclass(frozen=True)
class Table:
    """Cells as text. Columns of words stand to the left, those of numbers to the right."""

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


def flow(files: list[RunFile]) -> dict:
    """Each stage's rows in, out and dropped, and its cost, summed over its domains."""
    stages = {}
    for file in files:
        stages.setdefault(file.meta["stage"], []).append(file.meta)
    head = ["stage", "rows in", "= out + dropped", "why dropped", "tokens", "time", "tokens/s"]
    lines = [_stage_line(stage, metas) for stage, metas in stages.items()]
    bars = [_stage_bar(stage, metas) for stage, metas in stages.items()]
    most_rows = max(_sum(metas, "rows_in") for metas in stages.values())
    title = "Rows in and out of each stage"
    chart = charts.bars(title, bars, ("kept", "dropped"), most_rows)
    return {"table": Table(head, lines, (0, 3)), "chart": charts.as_inline_svg(chart)}


def _stage_line(stage: str, metas: list[dict]) -> list[str]:
    reasons = _reasons(metas)
    rows_in, rows_out = _sum(metas, "rows_in"), _sum(metas, "rows_out")
    tokens, asking_seconds = _sum(metas, "tokens"), _sum(metas, "asking_seconds")
    sums_up = "✓" if rows_in == rows_out + reasons.total() else "✗"
    listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    return [
        stage,
        f"{rows_in:,}",
        f"{rows_out:,} + {reasons.total():,} {sums_up}",
        listed or "–",
        f"{tokens:,}" if tokens else "–",
        clock(_sum(metas, "seconds")),
        f"{tokens / asking_seconds:,.0f}" if tokens and asking_seconds else "–",
    ]


def _stage_bar(stage: str, metas: list[dict]) -> charts.Bar:
    rows_in, rows_out = _sum(metas, "rows_in"), _sum(metas, "rows_out")
    dropped = _reasons(metas).total()
    note = f"{rows_in:,} → {rows_out:,}" if dropped else f"{rows_out:,}"
    return charts.Bar(stage, (rows_out, dropped), note)


def _sum(metas: list[dict], key: str) -> float:
    return sum(meta.get(key) or 0 for meta in metas)


def _reasons(metas: list[dict]) -> Counter[str]:
    reasons = Counter()
    for meta in metas:
        reasons.update(meta["dropped"])
    return reasons


def domains(all_domains: list[Domain], whole: Domain) -> Table:
    """Counts and shares of each domain, and of the whole where there are several."""
    titles = ["problems", "median words"]
    if whole.well_formed >= READABLE * whole.problems:
        titles.append("well formed")
    for kind in ("answered", "sampled"):
        if kind in whole.ends:
            titles.append(f"cut off, {kind}")
    if whole.best:
        titles += ["mean reward", "of the best"]
    has_total = len(all_domains) > 1
    shown = [*all_domains, whole] if has_total else all_domains
    lines = []
    for domain in shown:
        cells = _domain_cells(domain)
        lines.append([spoken(domain.name), *map(cells.get, titles)])
    return Table(["domain", *titles], lines, total=has_total)


def _domain_cells(domain: Domain) -> dict[str, str]:
    """Every figure that the table of the domains may show, by the title of its column."""
    return {
        "problems": f"{domain.problems:,}",
        "median words": f"{median(domain.words):.0f}" if domain.words else "–",
        "well formed": percent(domain.well_formed, domain.problems or 1),
        "cut off, answered": _cut_off(domain.ends.get("answered")),
        "cut off, sampled": _cut_off(domain.ends.get("sampled")),
        "mean reward": _mean(domain.best + domain.others),
        "of the best": _mean(domain.best),
    }


def _cut_off(finish_reasons: Counter | None) -> str:
    """The share of responses that the token limit ended; a dash without responses."""
    if not finish_reasons:
        return "–"
    return percent(finish_reasons["length"], finish_reasons.total())


def _mean(rewards: Sequence[float]) -> str:
    return reward(fmean(rewards)) if rewards else "–"


def variety(all_domains: list[Domain]) -> dict:
    """How much is new in each domain as its problems grow, and where more would not help."""
    curves = {spoken(domain.name): domain.curve for domain in all_domains if domain.curve}
    first_curve = next(iter(curves.values()))
    orders = list(first_curve.distinct)
    longest = orders[-1]
    repeated, distinct, lines = {}, {}, []
    for name, curve in curves.items():
        repeated[name] = list(zip(curve.counts, curve.repeated, strict=True))
        distinct[name] = list(zip(curve.counts, curve.distinct[longest], strict=True))
        lines.append(_variety_line(name, curve))
    head = ["domain", "problems", "near\u2011duplicates", "new in last tenth"]
    head += [f"distinct\u2011{order}" for order in orders]
    head += [f"new {order}\u2011grams" for order in orders]
    head += ["every second repeats at"]
    label = "share that resembles an earlier problem"
    distinct_label = f"distinct share of all runs of {longest} words"
    return {
        "table": Table(head, lines),
        "repeated": _curves_chart("Near-duplicates", label, repeated),
        "distinct": _curves_chart(f"Distinct {longest}-grams", distinct_label, distinct),
        "order": longest,
    }


def _variety_line(name: str, curve: Curve) -> list[str]:
    problems = curve.counts[-1]
    shares = [curve.repeated[-1], curve.new_texts]
    for distinct_shares in curve.distinct.values():
        shares.append(distinct_shares[-1])
    shares += curve.new_ngrams.values()
    if problems < FEWEST:
        spent = "too few to say"
    elif curve.spent_at is None:
        spent = "not reached"
    else:
        spent = f"about {float(f'{curve.spent_at:.2g}'):,.0f}"
    return [name, f"{problems:,}", *map(percent, shares), spent]


def _curves_chart(what: str, label: str, curves: dict[str, list[tuple[int, float]]]) -> Markup:
    title = f"{what} against the number of problems, by domain"
    chart = charts.lines(title, "problems, as they were made", label, curves)
    return charts.as_inline_svg(chart)


def lengths(whole: Domain) -> dict:
    """Histograms of problems and of responses, those that were cut off apart."""
    title = "Length of the problems"
    chart = charts.histogram(title, "words", "problems", {"problems": whole.words})
    problems = charts.as_inline_svg(chart)
    groups = {"finished": whole.finished_lengths, "truncated": whole.truncated_lengths}
    groups = {kind: characters for kind, characters in groups.items() if characters}
    responses = None
    if groups:
        title = "Length of the responses"
        chart = charts.histogram(title, "characters", "responses", groups)
        responses = charts.as_inline_svg(chart)
    return {"problems": problems, "responses": responses}


def rewards(whole: Domain, votes: Votes | None, pairs: dict[str, list[float]]) -> list[dict]:
    """How the rewards of two groups differ: best and others, right and wrong, chosen and rejected.

    Each with its chart, names, means, and how often one of the first is above one of the second.
    """
    comparisons = [_rewards_of("best", whole.best, "others", whole.others)]
    if votes:
        right_and_wrong = _rewards_of("right", votes.right_rewards, "wrong", votes.wrong_rewards)
        comparisons.append(right_and_wrong)
    comparisons.append(_rewards_of("chosen", pairs["chosen"], "rejected", pairs["rejected"]))
    return [comparison for comparison in comparisons if comparison]


def _rewards_of(
    first: str, first_rewards: list[float], second: str, second_rewards: list[float]
) -> dict | None:
    if not first_rewards or not second_rewards:
        return None
    title = f"Rewards of {first} and {second} responses"
    groups = {first: first_rewards, second: second_rewards}
    chart = charts.histogram(title, "reward, raw", "each group", groups, stacked=False)
    return {
        "names": [first, second],
        "means": [_mean(first_rewards), _mean(second_rewards)],
        "chart": charts.as_inline_svg(chart),
        "above": percent(_chance_above(first_rewards, second_rewards)),
    }


def _chance_above(first: Sequence[float], second: Sequence[float]) -> float:
    """The chance that one of `first` is greater than one of `second`, a tie counted half.

    That is the area under the ROC curve: the Mann-Whitney U over the number of pairs.
    """
    ranks = sorted(second)
    doubled = sum(bisect_left(ranks, value) + bisect_right(ranks, value) for value in first)
    return doubled / (2 * len(first) * len(second))


def agreement(votes: Votes) -> dict:
    """How many problems have how many votes, what that many are worth, each domain's marks."""
    responses = max(count for _, count in votes.levels)
    difficulty = None
    if votes.right != votes.levels:
        difficulty = _level_bars("Problems by right responses", votes.right, responses)
    worth, true_share = None, None
    if votes.precision:
        worth, true_share = _worth(votes.precision, responses)
    return {
        "levels": _level_bars("Problems by votes for the pseudo-gold", votes.levels, responses),
        "difficulty": difficulty,
        "worth": worth,
        "true": true_share,
        "marks": _marks(votes.marks),
    }


def _marks(marks: dict[str, Counter]) -> Markup:
    """The shares of the marks of each domain's responses."""
    bars = []
    for domain, counts in marks.items():
        shares = [counts[mark] / counts.total() for mark in MARKS]
        bars.append(charts.Bar(spoken(domain) or "all", shares))
    title = "Marks of the responses by domain"
    chart = charts.bars(title, bars, MARKS, whole=1, number="{x:.1%}")
    return charts.as_inline_svg(chart)


def _worth(precision: dict[Level, tuple[int, int]], responses: int) -> tuple[Markup, str]:
    """How often the answer with so many votes is the true one, with 95% intervals; and of all."""
    true_answers, problems = Counter(), Counter()
    for level, (true, total) in precision.items():
        true_answers[level] = true
        problems[level] = total
    true_by_name = _by_level_name(true_answers, responses)
    intervals = []
    for name, total in _by_level_name(problems, responses).items():
        true = true_by_name[name]
        low, high = metrics.wilson(true, total)
        intervals.append(charts.Interval(name, low, true / total, high, f"{true:,}/{total:,}"))
    title = "Share of pseudo-golds that are true, by votes"
    chart = charts.intervals(title, "share that is the true answer", intervals, limits=(0, 1))
    return charts.as_inline_svg(chart), percent(true_answers.total(), problems.total())


def _level_bars(title: str, levels: Counter, responses: int) -> Markup:
    by_name = _by_level_name(levels, responses)
    bars = []
    for name, problems in by_name.items():
        note = f"{problems:,} · {percent(problems, levels.total())}"
        bars.append(charts.Bar(name, (problems,), note))
    chart = charts.bars(title, bars, ("problems",), max(by_name.values()))
    return charts.as_inline_svg(chart)


def _by_level_name(counts: Counter, responses: int) -> dict[str, int]:
    """Counts by (votes, responses) under the names of the levels, most votes first.

    The names are `5 of 7`, or tenths where the most `responses` to a problem are many.
    """
    by_name = {}
    for votes, total in sorted(counts, key=lambda level: (-level[0] / level[1], level)):
        tenth = min(9, 10 * votes // total)
        name = f"{10 * tenth}–{10 * tenth + 10}%"
        if responses <= MOST_LEVELS:
            name = f"{votes} of {total}"
        by_name[name] = by_name.get(name, 0) + counts[votes, total]
    return by_name
