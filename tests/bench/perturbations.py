"""Copies of problems as people and models change them, seeded: what a cleaning has to find, for its measurements and tests."""

import random
import re
from collections.abc import Callable

_NAMES = "Amara Bjorn Carlos Divya Emeka Farid Greta Hiro Ingrid Jamal Katya Lucia Mateo Nadia Oskar Priya Rashid Sofia".split()
_FILLERS = (
    "now also please really then very here actually simply exactly today well just indeed".split()
)
_OTHERS = "thing matter certain various several amount table garden paper silver window market river careful simple quiet".split()
# Words that begin sentences with a capital and are no names.
_FIRST = frozenset(
    "The A An If In On At How What When Each Every After Before There His Her She He It They For Find Let Two Three Of To By "
    "Compute Suppose Determine Evaluate Four Five Six One Which Given Assume Half Some As All And But So This That".split()
)
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve".split()
_NUMERIC = frozenset(
    [*_SMALL, *"half twice double triple quarter first second third fourth".split()]
)


def _places(text: str) -> list[str]:
    """Alternating white space and words; the words are the odd ones."""
    return re.split(r"(\S+)", text)


def word_changed(text: str, rng: random.Random) -> str:
    """One word in twelve, at least one, is another."""
    parts = _places(text)
    plain = [i for i in range(1, len(parts), 2) if parts[i].strip(".,?!").isalpha() and len(parts[i]) > 1
             and parts[i].lower() not in _NUMERIC]  # another number is another problem  # fmt: skip
    for i in rng.sample(plain, min(len(plain), max(1, len(parts) // 24))):
        word = parts[i].strip(".,?!")
        parts[i] = parts[i].replace(word, rng.choice(_OTHERS))
    return "".join(parts)


def word_inserted(text: str, rng: random.Random) -> str:
    parts = text.split()
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(_FILLERS))
    return " ".join(parts)


def word_every_7(text: str, rng: random.Random) -> str:
    words = text.split()
    return " ".join(
        w for i in range(0, len(words), 7) for w in [*words[i : i + 7], rng.choice(_FILLERS)]
    )


def word_dropped(text: str, rng: random.Random) -> str:
    parts = text.split()
    plain = [
        i
        for i, w in enumerate(parts)
        if w.lower() in ("the", "a", "an", "of", "is", "are", "and", "to", "in", "has")
    ]
    if plain:
        del parts[rng.choice(plain)]
    return " ".join(parts)


def typo(text: str, rng: random.Random, share: int = 60) -> str:
    """In one of `share` characters, at least once, two neighbouring letters are exchanged."""
    made = list(text)
    spots = [
        i
        for i in range(len(made) - 1)
        if made[i].isalpha() and made[i + 1].isalpha() and made[i] != made[i + 1]
    ]
    for i in rng.sample(spots, min(len(spots), max(1, len(text) // share))):
        made[i], made[i + 1] = made[i + 1], made[i]
    return "".join(made)


def case(text: str, rng: random.Random) -> str:
    return rng.choice((str.lower, str.upper, str.title, str.swapcase))(text)


def stops(text: str, rng: random.Random) -> str:
    """Sentences end in other marks, or in none."""
    return re.sub(
        r"(?<![0-9])[.,;:?!](?![0-9])|(?<=[0-9])[.,;:?!](?=\s|$)",
        lambda m: rng.choice(("", m[0] * 2, " " + m[0])),
        text,
    )


def unpunctuated(text: str, rng: random.Random) -> str:
    return re.sub(r"[^\w\s]", "", text)


def spaces(text: str, rng: random.Random) -> str:
    return re.sub(r"\s", lambda m: rng.choice((" ", "  ", "\n", "\t ", "\u00a0")), text)


def clauses(text: str, rng: random.Random) -> str:
    """The sentences in another order; of one sentence, its two clauses."""
    sentences = re.findall(r"[^.?!]+(?:\.(?=\S)[^.?!]*)*[.?!]*\s*", text)
    if len(sentences) > 1:
        return " ".join(s.strip() for s in [*sentences[1:], sentences[0]])
    both = re.match(r"(.*?)( if |, and | when |, )(.*?)([.?!]*)$", text, re.DOTALL)
    return (
        f"{both[2].strip(' ,')} {both[3]}, {both[1]}{both[4]}"
        if both and not both[3][:1].isdigit()
        else text
    )


def numbers_written(text: str, rng: random.Random) -> str:
    """`3` as `three`, `three` as `3`, `1000` as `1,000` and the reverse."""
    text = re.sub(
        r"(?<![\w.,^/'(*+=-])(?<![-+*/=^] )(?:[0-9]|1[0-2])(?![\w.,^/)'*+=-]|\s*[-+*/=^])",
        lambda m: _SMALL[int(m[0])],
        text,
    )
    text = (
        re.sub(r"[0-9]+,[0-9]{3}\b", lambda m: m[0].replace(",", ""), text) if "," in text else text
    )
    return re.sub(r"(?<![\w.,])[0-9]{4,6}(?![\w.,])", lambda m: f"{int(m[0]):,}", text)


def renamed(text: str, rng: random.Random) -> str:
    """Every capitalised word that begins no sentence, or is known for a name by that, is another name."""
    found = set(re.findall(r"(?<=[a-z,;] )[A-Z][a-z]+\b", text)) | set(
        re.findall(r"^[A-Z][a-z]+(?='s| (?:has|is|had|was|and [A-Z]|[a-z]+s|[a-z]+ed)\b)", text)
    )
    names = sorted(found - _FIRST)
    others = dict(zip(names, rng.sample(_NAMES, min(len(names), len(_NAMES))), strict=False))
    return (
        re.sub(r"\b(?:" + "|".join(map(re.escape, others)) + r")\b", lambda m: others[m[0]], text)
        if others
        else text
    )


def renumbered(text: str, rng: random.Random) -> str:
    """Every number is another one with as many digits."""
    return re.sub(
        r"[0-9]+", lambda m: str(rng.randint(10 ** (len(m[0]) - 1), 10 ** len(m[0]) - 1)), text
    )


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


Change = Callable[[str, random.Random], str]
SAME_PROBLEM: dict[str, Change] = {
    "word changed": word_changed, "word inserted": word_inserted, "word every 7": word_every_7, "word dropped": word_dropped,
    "typo": typo, "case": case, "stops": stops, "no punctuation": unpunctuated, "spaces": spaces, "clauses": clauses,
    "numbers written": numbers_written, "renamed": renamed, "case, stops, typo": lambda t, r: case_and_stops(typo(t, r), r),
    "inserted, typo": lambda t, r: word_inserted(typo(t, r), r),
}  # fmt: skip
LEAKS: dict[str, Change] = {
    "verbatim": verbatim, "renumbered": renumbered, "renamed": renamed, "renamed, renumbered": renamed_and_renumbered,
    "case, stops": case_and_stops, "no punctuation": unpunctuated, "word every 7": word_every_7, "wrapped": wrapped,
}  # fmt: skip
