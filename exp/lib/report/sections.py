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
from lib.inference.endings import LENGTH
from lib.progress import clock
from lib.quality.diversity import Curve
from lib.report import charts
from lib.report.figures import LEAST_WELL_FORMED, Domain, Level, Votes
from lib.report.run_folder import RunFile
from lib.tables import percent

FEWEST = 50  # problems of a domain, below which its curve says nothing of where it leads
MARKS = ("right", "wrong", "truncated", "no answer")
MOST_LEVELS = 12  # responses a problem, above which votes are shown in tenths


@dataclass(frozen=True)
class Table:
    """Cells as text. Columns of text stand to the left, those of numbers to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: tuple[int, ...] = (0,)
    total: bool = False  # whether the last row sums up the others


def spoken(name: str) -> str:
    """`number theory` for number_theory."""
    return name.replace("_", " ")


def reward(score: float) -> str:
    """A raw reward to three digits, its minus as wide as a digit."""
    return f"{score:.3f}".replace("-", "−")


def flow(files: list[RunFile]) -> dict:
    """Each stage's rows in, out and dropped, and its cost, summed over its domains."""
    metas_by_stage = {}
    for file in files:
        metas_by_stage.setdefault(file.meta["stage"], []).append(file.meta)
    titles = ["stage", "rows in", "= out + dropped", "why dropped", "tokens", "time", "tokens/s"]
    lines, bars = [], []
    most_rows = 0
    for stage, metas in metas_by_stage.items():
        lines.append(_stage_line(stage, metas))
        bars.append(_stage_bar(stage, metas))
        most_rows = max(most_rows, _sum(metas, "rows_in"))
    chart = charts.bars("Rows in and out of each stage", bars, ("kept", "dropped"), most_rows)
    table = Table(titles, lines, text_columns=(0, 3))
    return {"table": table, "chart": charts.as_inline_svg(chart)}


def _stage_line(stage: str, metas: list[dict]) -> list[str]:
    rows_in = _sum(metas, "rows_in")
    rows_out = _sum(metas, "rows_out")
    drop_reasons = _drop_reasons(metas)
    dropped = drop_reasons.total()
    check_mark = "✓" if rows_in == rows_out + dropped else "✗"
    listed_reasons = [f"{rows:,} {reason}" for reason, rows in drop_reasons.most_common()]
    tokens = _sum(metas, "tokens")
    asking_seconds = _sum(metas, "asking_seconds")
    speed = tokens / asking_seconds if asking_seconds else 0
    return [
        stage,
        f"{rows_in:,}",
        f"{rows_out:,} + {dropped:,} {check_mark}",
        ", ".join(listed_reasons) or "–",
        f"{tokens:,}" if tokens else "–",
        clock(_sum(metas, "seconds")),
        f"{speed:,.0f}" if speed else "–",
    ]


def _stage_bar(stage: str, metas: list[dict]) -> charts.Bar:
    rows_in = _sum(metas, "rows_in")
    rows_out = _sum(metas, "rows_out")
    dropped = _drop_reasons(metas).total()
    note = f"{rows_out:,}"
    if dropped:
        note = f"{rows_in:,} → {rows_out:,}"
    return charts.Bar(stage, (rows_out, dropped), note)


def _sum(metas: list[dict], key: str) -> float:
    return sum(meta.get(key) or 0 for meta in metas)


def _drop_reasons(metas: list[dict]) -> Counter[str]:
    """How many rows were dropped for each reason."""
    drop_reasons = Counter()
    for meta in metas:
        drop_reasons.update(meta["dropped"])
    return drop_reasons


def domains(all_domains: list[Domain], whole: Domain) -> Table:
    """Counts and shares of each domain, and of the whole where there are several."""
    titles = ["problems", "median words"]
    if whole.well_formed >= LEAST_WELL_FORMED * whole.problems:
        titles.append("well formed")
    for kind in ("answered", "sampled"):
        if kind in whole.finish_reasons:
            titles.append(f"cut off, {kind}")
    if whole.best_rewards:
        titles += ["mean reward", "of the best"]
    has_total = len(all_domains) > 1
    shown_domains = [*all_domains, whole] if has_total else all_domains
    lines = []
    for domain in shown_domains:
        cells = _domain_cells(domain)
        lines.append([spoken(domain.name), *map(cells.get, titles)])
    return Table(["domain", *titles], lines, total=has_total)


def _domain_cells(domain: Domain) -> dict[str, str]:
    """Every figure that the table of the domains may show, by the title of its column."""
    return {
        "problems": f"{domain.problems:,}",
        "median words": f"{median(domain.word_counts):.0f}" if domain.word_counts else "–",
        "well formed": percent(domain.well_formed, domain.problems or 1),
        "cut off, answered": _cut_off(domain.finish_reasons.get("answered")),
        "cut off, sampled": _cut_off(domain.finish_reasons.get("sampled")),
        "mean reward": _mean_reward(domain.best_rewards + domain.other_rewards),
        "of the best": _mean_reward(domain.best_rewards),
    }


def _cut_off(finish_reasons: Counter | None) -> str:
    """The share of responses that the token limit ended; a dash without responses."""
    if not finish_reasons:
        return "–"
    return percent(finish_reasons[LENGTH], finish_reasons.total())


def _mean_reward(rewards: Sequence[float]) -> str:
    """The mean as text; a dash without rewards."""
    return reward(fmean(rewards)) if rewards else "–"


def variety(all_domains: list[Domain]) -> dict:
    """How much is new in each domain as its problems grow, and where more would not help."""
    curves = {spoken(domain.name): domain.curve for domain in all_domains if domain.curve}
    first_curve = next(iter(curves.values()))
    orders = list(first_curve.distinct)
    longest = orders[-1]
    repeated, distinct, lines = {}, {}, []
    for domain_name, curve in curves.items():
        repeated[domain_name] = list(zip(curve.counts, curve.repeated, strict=True))
        distinct[domain_name] = list(zip(curve.counts, curve.distinct[longest], strict=True))
        lines.append(_variety_line(domain_name, curve))
    # With hyphens at which a browser does not break the line.
    titles = ["domain", "problems", "near\u2011duplicates", "new in last tenth"]
    titles += [f"distinct\u2011{order}" for order in orders]
    titles += [f"new {order}\u2011grams" for order in orders]
    titles += ["every second repeats at"]
    repeated_label = "share that resembles an earlier problem"
    distinct_label = f"distinct share of all runs of {longest} words"
    return {
        "table": Table(titles, lines),
        "repeated": _curves_chart("Near-duplicates", repeated_label, repeated),
        "distinct": _curves_chart(f"Distinct {longest}-grams", distinct_label, distinct),
        "order": longest,
    }


def _variety_line(domain_name: str, curve: Curve) -> list[str]:
    problems = curve.counts[-1]
    shares = [curve.repeated[-1], curve.new_texts]
    for distinct_shares in curve.distinct.values():
        shares.append(distinct_shares[-1])
    shares += curve.new_ngrams.values()
    if problems < FEWEST:
        spent_at = "too few to say"
    elif curve.spent_at is None:
        spent_at = "not reached"
    else:
        two_digits = float(f"{curve.spent_at:.2g}")  # it is no more exact than that
        spent_at = f"about {two_digits:,.0f}"
    return [domain_name, f"{problems:,}", *map(percent, shares), spent_at]


def _curves_chart(subject: str, y_label: str, curves: dict[str, list[tuple[int, float]]]) -> Markup:
    title = f"{subject} against the number of problems, by domain"
    chart = charts.lines(title, "problems, as they were made", y_label, curves)
    return charts.as_inline_svg(chart)


def lengths(whole: Domain) -> dict:
    """Histograms of problems and of responses, those that were cut off apart."""
    problems = {"problems": whole.word_counts}
    problems_chart = charts.histogram("Length of the problems", "words", "problems", problems)
    responses = {}
    if whole.finished_lengths:
        responses["finished"] = whole.finished_lengths
    if whole.truncated_lengths:
        responses["truncated"] = whole.truncated_lengths
    responses_svg = None
    if responses:
        title = "Length of the responses"
        responses_chart = charts.histogram(title, "characters", "responses", responses)
        responses_svg = charts.as_inline_svg(responses_chart)
    return {"problems": charts.as_inline_svg(problems_chart), "responses": responses_svg}


def rewards(whole: Domain, votes: Votes | None, pairs: dict[str, list[float]]) -> list[dict]:
    """How the rewards of two groups differ: best and others, right and wrong, chosen and rejected.

    Each with its chart, names, means, and how often one of the first is above one of the second.
    """
    comparisons = [{"best": whole.best_rewards, "others": whole.other_rewards}]
    if votes:
        comparisons.append({"right": votes.right_rewards, "wrong": votes.wrong_rewards})
    comparisons.append({"chosen": pairs["chosen"], "rejected": pairs["rejected"]})
    shown = []
    for groups in comparisons:
        if all(groups.values()):
            shown.append(_compare_rewards(groups))
    return shown


def _compare_rewards(groups: dict[str, list[float]]) -> dict:
    """The comparison of two groups' rewards; both have some."""
    first, second = groups
    title = f"Rewards of {first} and {second} responses"
    chart = charts.histogram(title, "reward, raw", "each group", groups, stacked=False)
    chance_above = _chance_above(groups[first], groups[second])
    return {
        "names": [first, second],
        "means": [_mean_reward(groups[first]), _mean_reward(groups[second])],
        "chart": charts.as_inline_svg(chart),
        "above": percent(chance_above),
    }


def _chance_above(first: Sequence[float], second: Sequence[float]) -> float:
    """The chance that one of `first` is greater than one of `second`, a tie counted half.

    That is the area under the ROC curve: the Mann-Whitney U over the number of pairs.
    """
    sorted_second = sorted(second)
    doubled_u = 0
    for value in first:
        # The left one counts those below the value, the right one those below it or equal to it:
        # together a smaller one counts twice, and an equal one once.
        doubled_u += bisect_left(sorted_second, value) + bisect_right(sorted_second, value)
    return doubled_u / (2 * len(first) * len(second))


def agreement(votes: Votes) -> dict:
    """How many problems have how many votes, what that many are worth, each domain's marks."""
    most_responses = max(responses for _, responses in votes.vote_levels)
    votes_title = "Problems by votes for the pseudo-gold"
    difficulty = None
    if votes.right_levels != votes.vote_levels:
        right_title = "Problems by right responses"
        difficulty = _levels_chart(right_title, votes.right_levels, most_responses)
    worth, true_share = None, None
    if votes.precision:
        worth, true_share = _worth(votes.precision, most_responses)
    return {
        "levels": _levels_chart(votes_title, votes.vote_levels, most_responses),
        "difficulty": difficulty,
        "worth": worth,
        "true": true_share,
        "marks": _marks_chart(votes.marks),
    }


def _marks_chart(marks: dict[str, Counter]) -> Markup:
    """The shares of the marks of each domain's responses.

    What is marked with another finish reason, such as content_filter, gave no answer.
    """
    bars = []
    for domain, mark_counts in marks.items():
        responses = mark_counts.total()
        shares = [mark_counts[mark] / responses for mark in MARKS[:-1]]
        shares.append(max(0, 1 - sum(shares)))
        bars.append(charts.Bar(spoken(domain) or "all", shares))
    title = "Marks of the responses by domain"
    chart = charts.bars(title, bars, MARKS, whole=1, number="{x:.1%}")
    return charts.as_inline_svg(chart)


def _worth(precision: dict[Level, tuple[int, int]], most_responses: int) -> tuple[Markup, str]:
    """How often the answer with so many votes is the true one, with 95% intervals; and of all."""
    true_counts, problem_counts = Counter(), Counter()
    for level, (true_answers, problems) in precision.items():
        true_counts[level] = true_answers
        problem_counts[level] = problems
    true_by_name = _by_level_name(true_counts, most_responses)
    problems_by_name = _by_level_name(problem_counts, most_responses)
    intervals = []
    for level_name, problems in problems_by_name.items():
        interval = _worth_interval(level_name, true_by_name[level_name], problems)
        intervals.append(interval)
    title = "Share of pseudo-golds that are true, by votes"
    chart = charts.intervals(title, "share that is the true answer", intervals, limits=(0, 1))
    true_share = percent(true_counts.total(), problem_counts.total())
    return charts.as_inline_svg(chart), true_share


def _worth_interval(level_name: str, true_answers: int, problems: int) -> charts.Interval:
    low, high = metrics.wilson(true_answers, problems)
    share = true_answers / problems
    note = f"{true_answers:,}/{problems:,}"
    return charts.Interval(level_name, low, share, high, note)


def _levels_chart(title: str, levels: Counter[Level], most_responses: int) -> Markup:
    """A bar for each level: how many problems have so many votes, and their share."""
    problems_by_name = _by_level_name(levels, most_responses)
    all_problems = levels.total()
    bars = []
    for level_name, problems in problems_by_name.items():
        share = percent(problems, all_problems)
        note = f"{problems:,} · {share}"
        bars.append(charts.Bar(level_name, (problems,), note))
    most_problems = max(problems_by_name.values())
    chart = charts.bars(title, bars, ("problems",), most_problems)
    return charts.as_inline_svg(chart)


def _by_level_name(counts: Counter[Level], most_responses: int) -> dict[str, int]:
    """The counts by the names of the levels, most votes first."""
    sums_by_name = {}
    for level in sorted(counts, key=_from_most_votes):
        level_name = _level_name(level, most_responses)
        sums_by_name[level_name] = sums_by_name.get(level_name, 0) + counts[level]
    return sums_by_name


def _from_most_votes(level: Level) -> tuple[float, Level]:
    """What levels are sorted by: the highest share of votes comes first."""
    votes, responses = level
    return (-votes / responses, level)


def _level_name(level: Level, most_responses: int) -> str:
    """`5 of 7`, or a tenth such as `70–80%` where the most responses to a problem are many."""
    votes, responses = level
    if most_responses <= MOST_LEVELS:
        return f"{votes} of {responses}"
    tenth = min(9, 10 * votes // responses)  # all votes are in the last tenth
    return f"{10 * tenth}–{10 * tenth + 10}%"
