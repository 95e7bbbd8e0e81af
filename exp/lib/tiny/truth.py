"""What the answer that most responses agree on is worth: how often it is the true one, by how many agree."""

from collections.abc import Iterable

from lib.grading import answers
from lib.tiny import problems


def precision(verified: Iterable[dict]) -> dict[tuple[int, int], tuple[int, int]]:
    """(right, problems) by (votes, responses), most votes first, over the problems whose true answer the generator can tell.

    A row has `instruction`, `answer` (the pseudo-gold) and `marks`. Empty where the generator can read no problem.
    """
    found: dict[tuple[int, int], list[bool]] = {}
    for row in verified:
        if problem := problems.parse(row["instruction"]):
            level = row["marks"].count("right"), len(row["marks"])
            found.setdefault(level, []).append(answers.is_equal(row["answer"], str(problem.answer)))
    return {
        level: (sum(found[level]), len(found[level]))
        for level in sorted(found, key=lambda level: -level[0])
    }
