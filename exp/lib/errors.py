"""The two ways a stage ends early on purpose, and the hint that names what was meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend: shown as one line on stderr, exit code 2."""


class Shortfall(Exception):
    """The input was fine, but fewer rows could be made than asked for: one line, exit code 3."""


def near(word: str, known_words: Iterable[str]) -> str:
    """A hint for an unknown word: `did you mean 'algebra'?`, or all words if none is close."""
    known_words = [str(known) for known in known_words]
    # At 0.5 a swapped or missing letter is close, and another word of the same length is not.
    similar_words = difflib.get_close_matches(str(word), known_words, n=3, cutoff=0.5)
    if not similar_words:
        return f"known: {', '.join(known_words)}"
    quoted_words = [repr(similar) for similar in similar_words]
    return f"did you mean {' or '.join(quoted_words)}?"


def one_line(error: BaseException, longest: int = 300) -> str:
    """An error's message on one line, or the error's type if it has none."""
    words = str(error).split()
    message = " ".join(words)[:longest]
    return message or type(error).__name__
