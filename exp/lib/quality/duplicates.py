"""Near-duplicates among problems: the same problem in slightly other words, never one that differs in its numbers.

MinHash (Broder 1997) finds what a text may be a copy of among all kept before it, `lib.quality.likeness` decides.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from lib.quality import likeness
from lib.quality.generations import normalised
from lib.quality.wording import is_bare

PERMUTATIONS = 48
BANDS = 16  # of 3: a pair that shares .4 of its shingles is found with .65, .5 with .88, .6 with .98; .7 kB a text
SHARED = 0.2  # least estimate of the share; sentences like `How many of the … are there?` have .15 in common with any other
_SEED = 1
_CHECKED = 64  # candidates that are compared, the first ones: bounds the time of a text that is like thousands


class Match(NamedTuple):
    """`partner` is the index of the earlier kept text, `score` the similarity of the words (0..1), `text` the partner itself."""

    partner: int
    score: float
    text: str


def matches(texts: Iterable[str | None], batch: int = 1000) -> Iterator[Match | None]:
    """For each text in order the most similar kept text before it, or None: then it is kept itself. A None takes no part.

    A text with a match is not kept, so that a chain of small changes does not eat what is far from its start. Memory is a
    sketch's bands and the kept text, deflated where it is long. Signatures are never stored: rensa's differ by its version.
    """
    import rensa

    index = rensa.RMinHashLSH(0.5, PERMUTATIONS, BANDS)
    kept: dict[int, tuple[object, str | None, str | bytes]] = {}
    exact: dict[int, int] = {}  # by the hash of the normalised text: its place
    places = enumerate(texts)
    while chunk := list(islice(places, batch)):
        these = {place: likeness.read(text) for place, text in chunk if text is not None}
        sets = [shingles(r.words, r.numbers) for r in these.values()]
        sketches = dict(
            zip(these, rensa.RMinHash.from_token_sets(sets, PERMUTATIONS, _SEED), strict=True)
        )
        for place, text in chunk:
            if text is None:
                yield None
                continue
            same, key, best = hash(normalised(text)), _key(these[place]), None
            near = (
                [exact[same]] if same in exact else sorted(index.query(sketches[place]))[:_CHECKED]
            )
            for other in near:
                its_sketch, its_key, packed = kept[other]
                # As `likeness` would find, at a tenth of the time.
                if (key == its_key or key is None or its_key is None) and sketches[place].jaccard(
                    its_sketch
                ) >= SHARED:
                    partner = _unpacked(packed)
                    score = likeness.similarity(these[place], likeness.read(partner))
                    if score and (best is None or score > best.score):
                        best = Match(other, score, partner)
            if best is None:
                index.insert(place, sketches[place])
                kept[place] = sketches[place], key, _packed(text)
                exact[same] = place
            yield best


def _key(this: likeness.Read) -> str | None:
    """The numbers but 1, sorted, as they must agree in two copies; None where that cannot be said, without punctuation."""
    return " ".join(sorted(n for n in this.numbers if n != "1")) if not is_bare(this.text) else None


def shingles(words: list[str], numbers: list[str]) -> list[str]:
    """The words, each with the problem's digits: problems of other numbers have no shingle in common.

    The digits are sorted and without 0 and 1, so that `1,000`, `1000` and `2.50`, `250` agree whatever was done to their
    punctuation, and `one` may be no number. Where fewer than two are left it is pairs of words: most problems have `what` and 2.
    """
    salt = "".join(sorted("".join(numbers))).lstrip(".01") + " "
    if len(salt) > 2:
        return [salt + w for w in words]
    return [f"{salt}{a} {b}" for a, b in zip(["", *words], [*words, ""], strict=True)]


def _packed(text: str) -> str | bytes:
    return (
        zlib.compress(text.encode("utf-8", errors="surrogatepass"), 1) if len(text) > 200 else text
    )


def _unpacked(kept: str | bytes) -> str:
    return (
        kept
        if isinstance(kept, str)
        else zlib.decompress(kept).decode("utf-8", errors="surrogatepass")
    )
