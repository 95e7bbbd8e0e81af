"""Copies of problems as people and models change them, seeded: what a cleaning has to find."""

import random
import re
from collections.abc import Callable

_NAMES = (
    "Amara Bjorn Carlos Divya Emeka Farid Greta Hiro Ingrid Jamal Katya Lucia Mateo Nadia Oskar "
    "Priya Rashid Sofia"
).split()
_FILLERS = (
    "now also please really then very here actually simply exactly today well just indeed"
).split()
_OTHER_WORDS = (
    "thing matter certain various several amount table garden paper silver window market river "
    "careful simple quiet"
).split()
# Words that begin sentences with a capital and are no names.
_FIRST_WORDS = frozenset(
    "The A An If In On At How What When Each Every After Before There His Her She He It They For "
    "Find Let Two Three Of To By Compute Suppose Determine Evaluate Four Five Six One Which Given "
    "Assume Half Some As All And But So This That".split()
)
_SMALL_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_NUMERIC_WORDS = frozenset(
    [*_SMALL_NUMBERS, *"half twice double triple quarter first second third fourth".split()]
)
_DROPPABLE = ("the", "a", "an", "of", "is", "are", "and", "to", "in", "has")
_STOPS = ".,?!"


def word_changed(text: str, rng: random.Random) -> str:
    """One word in twelve, at least one, is another."""
    parts = re.split(r"(\S+)", text)  # white space and words in turn; the words are the odd ones
    changeable = [i for i in range(1, len(parts), 2) if _may_be_another(parts[i])]
    count = min(len(changeable), max(1, len(parts) // 24))
    for i in rng.sample(changeable, count):
        parts[i] = parts[i].replace(parts[i].strip(_STOPS), rng.choice(_OTHER_WORDS))
    return "".join(parts)


def _may_be_another(word: str) -> bool:
    """A number may not, in letters either: it would make another problem."""
    if len(word) == 1 or word.lower() in _NUMERIC_WORDS:
        return False
    return word.strip(_STOPS).isalpha()


def word_inserted(text: str, rng: random.Random) -> str:
    parts = text.split()
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(_FILLERS))
    return " ".join(parts)


def word_every_7(text: str, rng: random.Random) -> str:
    words = text.split()
    result = []
    for start in range(0, len(words), 7):
        result += words[start : start + 7]
        result.append(rng.choice(_FILLERS))
    return " ".join(result)


def word_dropped(text: str, rng: random.Random) -> str:
    parts = text.split()
    droppable = [i for i, word in enumerate(parts) if word.lower() in _DROPPABLE]
    if droppable:
        del parts[rng.choice(droppable)]
    return " ".join(parts)


def typo(text: str, rng: random.Random, share: int = 60) -> str:
    """In one of `share` characters, at least once, two neighbouring letters change places."""
    letters = list(text)
    places = [i for i in range(len(letters) - 1) if _is_letter_pair(letters[i], letters[i + 1])]
    count = min(len(places), max(1, len(text) // share))
    for i in rng.sample(places, count):
        letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)


def _is_letter_pair(first: str, second: str) -> bool:
    return first.isalpha() and second.isalpha() and first != second


def case(text: str, rng: random.Random) -> str:
    return rng.choice((str.lower, str.upper, str.title, str.swapcase))(text)


def stops(text: str, rng: random.Random) -> str:
    """Sentences end in other marks, or in none."""

    def other_mark(match: re.Match) -> str:
        return rng.choice(("", match[0] * 2, " " + match[0]))

    return re.sub(
        r"(?<![0-9])[.,;:?!](?![0-9])|(?<=[0-9])[.,;:?!](?=\s|$)",
        other_mark,
        text,
    )


def unpunctuated(text: str, rng: random.Random) -> str:
    return re.sub(r"[^\w\s]", "", text)


def spaces(text: str, rng: random.Random) -> str:
    def other_space(match: re.Match) -> str:
        return rng.choice((" ", "  ", "\n", "\t ", "\u00a0"))

    return re.sub(r"\s", other_space, text)


def clauses(text: str, rng: random.Random) -> str:
    """The sentences in another order; of one sentence, its two clauses."""
    sentences = re.findall(r"[^.?!]+(?:\.(?=\S)[^.?!]*)*[.?!]*\s*", text)
    if len(sentences) > 1:
        return " ".join(sentence.strip() for sentence in [*sentences[1:], sentences[0]])
    both = re.match(r"(.*?)( if |, and | when |, )(.*?)([.?!]*)$", text, re.DOTALL)
    if not both or both[3][:1].isdigit():
        return text
    first, joint, second, stop = both.groups()
    return f"{joint.strip(' ,')} {second}, {first}{stop}"


def numbers_written(text: str, rng: random.Random) -> str:
    """`3` as `three`; `1000` as `1,000` and the reverse."""
    text = re.sub(
        r"(?<![\w.,^/'(*+=-])(?<![-+*/=^] )(?:[0-9]|1[0-2])(?![\w.,^/)'*+=-]|\s*[-+*/=^])",
        lambda match: _SMALL_NUMBERS[int(match[0])],
        text,
    )
    text = re.sub(r"[0-9]+,[0-9]{3}\b", lambda match: match[0].replace(",", ""), text)
    return re.sub(r"(?<![\w.,])[0-9]{4,6}(?![\w.,])", lambda match: f"{int(match[0]):,}", text)


def renamed(text: str, rng: random.Random) -> str:
    """Every name is another one: a capitalised word that begins no sentence, or that has a verb."""
    inside = re.findall(r"(?<=[a-z,;] )[A-Z][a-z]+\b", text)
    in_front = re.findall(
        r"^[A-Z][a-z]+(?='s| (?:has|is|had|was|and [A-Z]|[a-z]+s|[a-z]+ed)\b)", text
    )
    names = sorted({*inside, *in_front} - _FIRST_WORDS)
    others = rng.sample(_NAMES, min(len(names), len(_NAMES)))
    new_names = dict(zip(names, others, strict=False))
    if not new_names:
        return text
    any_name = "|".join(map(re.escape, new_names))
    return re.sub(rf"\b(?:{any_name})\b", lambda match: new_names[match[0]], text)


def renumbered(text: str, rng: random.Random) -> str:
    """Every number is another one with as many digits."""

    def other_number(match: re.Match) -> str:
        digits = len(match[0])
        return str(rng.randint(10 ** (digits - 1), 10**digits - 1))

    return re.sub(r"[0-9]+", other_number, text)


def renamed_and_renumbered(text: str, rng: random.Random) -> str:
    return renumbered(renamed(text, rng), rng)


def wrapped(text: str, rng: random.Random) -> str:
    """With words before and behind that belong to no problem."""
    before = (
        "Solve the following problem: ",
        "Question: ",
        "Please help me with my homework.\n\n",
        "Here is a math problem. ",
    )
    behind = (
        "",
        "\nThink step by step.",
        " Show all your work and put the final answer in a box.",
        "\nAnswer:",
    )
    return rng.choice(before) + text + rng.choice(behind)


def verbatim(text: str, rng: random.Random) -> str:
    return text


def case_and_stops(text: str, rng: random.Random) -> str:
    return case(stops(text, rng), rng)


def case_stops_and_typo(text: str, rng: random.Random) -> str:
    return case_and_stops(typo(text, rng), rng)


def inserted_and_typo(text: str, rng: random.Random) -> str:
    return word_inserted(typo(text, rng), rng)


Change = Callable[[str, random.Random], str]
SAME_PROBLEM: dict[str, Change] = {
    "word changed": word_changed,
    "word inserted": word_inserted,
    "word every 7": word_every_7,
    "word dropped": word_dropped,
    "typo": typo,
    "case": case,
    "stops": stops,
    "no punctuation": unpunctuated,
    "spaces": spaces,
    "clauses": clauses,
    "numbers written": numbers_written,
    "renamed": renamed,
    "case, stops, typo": case_stops_and_typo,
    "inserted, typo": inserted_and_typo,
}
LEAKS: dict[str, Change] = {
    "verbatim": verbatim,
    "renumbered": renumbered,
    "renamed": renamed,
    "renamed, renumbered": renamed_and_renumbered,
    "case, stops": case_and_stops,
    "no punctuation": unpunctuated,
    "word every 7": word_every_7,
    "wrapped": wrapped,
}
