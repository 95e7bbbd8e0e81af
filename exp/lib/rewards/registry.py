"""Rewards: what a completion is paid, as plain functions that need no model; the grader of the evaluations says what is right.

Each takes texts and gives one float a text, all alike: `(completions, *, golds, layout, truncated) -> list[float]`, with a
gold answer, and whether it was cut off at the length limit, for each completion. A new reward is one more entry of REWARDS.
`lib.rewards.lint` tries a set of them on answers that cheat.
"""

import math
import re
from collections.abc import Callable

from lib.errors import UserError, near
from lib.grading import answers, exact, latex
from lib.grading.formats import Format

RIGHT = 5.0
CLOSE, WITHIN = (
    1.0,
    0.1,
)  # paid for a wrong number that is off by at most this share of the gold one
NUMBER = 0.5
TAG = 0.5
BOX = "\\boxed{"
_MOST = 2  # an answer may stand in the working and again at the end; more of the same is a loop
_RELATION = re.compile(r"=+|\\equiv(?![a-z])")
_WORD = re.compile(r"(?<![^\W\d_])(?!(?:and|or)\b)[^\W\d_]{2,}")
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{\w+\}|\\[A-Za-z]+|[_^]\s*(?:\{[^{}]*\}|\w)")
_VALUE = re.compile(r"\d[\d.,]*(?<=\d)(?:\s*/\s*\d+)?")


def stated(text: str, layout: Format) -> str | None:
    """The one answer that a text states where its layout has the answer, outside of the thinking; None if it states none.

    Strictly: it stands in the layout's answer tags or box, all of them closed and none in another, twice at most. None, too,
    where tags and boxes hold different answers, so that naming several wins nothing.
    """
    said = _outside_thinking(text, layout)
    opening, closing = layout.answer
    if opening == BOX:
        places = latex.boxes(said)
    else:
        tag = rf"{re.escape(opening)}((?:(?!{re.escape(opening)}).)*?){re.escape(closing)}"
        places = [(*m.span(), m[1]) for m in re.finditer(tag, said, re.DOTALL)]
        if said.count(closing) != len(places):
            return None
    if not 1 <= len(places) <= _MOST or said.count(opening) != len(places):
        return None
    found, rest, end = [], "", 0
    for start, stop, inside in places:
        found += [box for _, _, box in latex.boxes(inside)] or [inside]
        rest, end = rest + said[end:start] + "\n", stop
    rest += said[end:]
    found += [box for _, _, box in latex.boxes(rest)]
    if (
        other := answers.find(rest, strict=True)
    ) and other.how == "tag":  # of another layout, and evaluation reads it
        found.append(other.answer)
    first, *others = (" ".join(answer.split()) for answer in found)
    return (
        first
        if latex.canonical(first) and all(answers.is_equal(answer, first) for answer in others)
        else None
    )


def is_right(answer: str, gold: str) -> bool:
    """Whether a stated answer is the gold one, by the grader, which judges what was meant and picks from a sentence.

    A reward invites guessing, so nothing is picked here: each side of `6 = 5` counts, and of several numbers among words none.
    """
    if not answers.is_equal(answer, gold):
        return False
    plain = latex.canonical(answer)
    words = _COMMAND.sub(" ", plain)
    if _WORD.search(words) and len({value.replace(",", "") for value in _VALUE.findall(words)}) > 1:
        return False
    if exact.split_list(plain) or _RELATION.search(
        gold
    ):  # x = 1, y = 2 for 1, 2; an equation that is the gold
        return True
    sides = [side for side in _RELATION.split(plain) if re.search(r"\d", side)]
    return len(sides) < 2 or all(answers.is_equal(side, gold) for side in sides)


def format_exact(
    completions: list[str], *, golds: list[str], layout: Format, truncated: list[bool]
) -> list[float]:
    """+1 for a text that is laid out exactly as asked, else -1: match_format_exactly of the GSM8K pipeline."""
    return [1.0 if layout.fits(text) else -1.0 for text in completions]


def format_approximate(
    completions: list[str], *, golds: list[str], layout: Format, truncated: list[bool]
) -> list[float]:
    """+0.5 for each tag that is there exactly once, else -0.5: match_format_approximately of unsloth's first GRPO notebook.

    The four tags of the layout, -2 to 2 in all; of `boxed`, which asks for no thinking tags, the opening and a closed box.
    """

    def counts(text: str) -> list[int]:
        if layout.answer[0] == BOX:  # its closing brace also closes a \frac{1}{2}
            return [text.count(BOX), len(latex.boxes(text))]
        return [text.count(tag) for tag in (*layout.thinking, *layout.answer)]

    return [sum(TAG if n == 1 else -TAG for n in counts(text)) for text in completions]


def answer(
    completions: list[str], *, golds: list[str], layout: Format, truncated: list[bool]
) -> list[float]:
    """5 for the right answer, 0 for a wrong one, for none and for a completion that was cut off."""
    each = zip(completions, golds, truncated, strict=True)
    return [
        RIGHT * bool(not cut and (found := stated(text, layout)) and is_right(found, gold))
        for text, gold, cut in each
    ]


def answer_close(
    completions: list[str], *, golds: list[str], layout: Format, truncated: list[bool]
) -> list[float]:
    """As `answer`, but a wrong number off by at most 10% of a gold number that is not zero earns 1, less than any right one.

    Other wrong ones earn 0, as none does. Unsloth's test pays 95 for 100 +1 as well, but an honest wrong answer -1.5 and
    silence 0: a policy that is not sure learns to be silent. So here wrong never earns less than empty.
    """
    paid = answer(completions, golds=golds, layout=layout, truncated=truncated)
    for n, (text, gold, cut) in enumerate(zip(completions, golds, truncated, strict=True)):
        ours, theirs = None if cut or paid[n] else _number(stated(text, layout)), _number(gold)
        if (
            ours
            and theirs
            and theirs.value
            and abs(ours.value - theirs.value) <= WITHIN * abs(theirs.value)
        ):
            paid[n] = CLOSE
    return paid


def number(
    completions: list[str], *, golds: list[str], layout: Format, truncated: list[bool]
) -> list[float]:
    """0.5 where the stated answer is a number at all, `1,200`, `$5` and `\\frac12` included; 0 for others and if cut off."""
    each = zip(completions, truncated, strict=True)
    return [NUMBER if not cut and _number(stated(text, layout)) else 0.0 for text, cut in each]


REWARDS: dict[str, Callable] = {
    "format_exact": format_exact,
    "format_approximate": format_approximate,
    "answer": answer,
    "answer_close": answer_close,
    "number": number,
}


def find(spec: str) -> list[tuple[str, float, Callable]]:
    """The rewards that `format_exact=1,answer=1` names, as (name, weight, function) in that order; a bare name weighs 1.

    UserError for an unknown or repeated name, a weight that is no finite number, and where nothing is named.
    """
    found = {}
    for word in filter(None, map(str.strip, spec.split(","))):
        name, given, weight = (part.strip() for part in word.partition("="))
        if name not in REWARDS:
            raise UserError(f"no reward {name!r}; {near(name, REWARDS)}")
        if name in found:
            raise UserError(f"rewards {spec!r}: {name} is there twice")
        try:
            weighs = float(weight if given else 1)
        except ValueError:
            weighs = math.nan
        if not math.isfinite(weighs):
            raise UserError(f"rewards {spec!r}: the weight of {name} is {weight!r}, not a number")
        found[name] = (name, weighs, REWARDS[name])
    if not found:
        raise UserError(f"rewards {spec!r}: no reward in it; known: {', '.join(REWARDS)}")
    return list(found.values())


def parts(
    spec: list, completions: list[str], golds: list[str], layout: Format, truncated: list[bool]
) -> dict[str, list[float]]:
    """What each reward of `spec` (see `find`) pays each completion, before its weight."""
    return {
        name: pay(completions, golds=golds, layout=layout, truncated=truncated)
        for name, _, pay in spec
    }


def total(
    spec: list, completions: list[str], golds: list[str], layout: Format, truncated: list[bool]
) -> list[float]:
    """The weighted sum of the rewards of `spec` for each completion, as the trainer adds them."""
    paid = parts(spec, completions, golds, layout, truncated)
    return [
        sum(weight * paid[name][n] for name, weight, _ in spec) for n in range(len(completions))
    ]


def _outside_thinking(text: str, layout: Format) -> str:
    """The text without its thinking, which may have been opened in the prompt; what never ends is all thinking."""
    opening, closing = layout.thinking
    before, closed, behind = text.partition(closing)
    if closed and opening not in before:
        text = behind
    return re.sub(
        rf"{re.escape(opening)}.*?(?:{re.escape(closing)}|\Z)", "\n", text, flags=re.DOTALL
    )


def _number(text: str | None) -> exact.Number | None:
    return exact.number(exact.without_name(latex.canonical(text))) if text else None
