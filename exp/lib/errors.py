"""The two ways a stage ends early on purpose, and the hint that names what was meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend: shown as one line on stderr, exit code 2."""


class Shortfall(Exception):
    """The input was fine, but fewer rows could be made than asked for: one line, exit code 3."""


def near(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: `did you mean 'algebra'?`, or all words if none is close."""
    known = [str(name) for name in known]
    similar = difflib.get_close_matches(str(word), known, n=3, cutoff=0.5)
    if similar:
        return f"did you mean {' or '.join(map(repr, similar))}?"
    return f"known: {', '.join(known)}"


def one_line(error: BaseException, longest: int = 300) -> str:
    """An error's message on one line, or the error's type if it has none."""
    return " ".join(str(error).split())[:longest] or type(error).__name__
