"""What is true of a procedural problem: the one door of this package for code outside of it.

Everybody else's problems have no known answer; those that the embedded model invents mostly do,
because the generator can read them back. So answers, votes and figures can be held against it.
"""

from collections import Counter
from collections.abc import Iterable

from lib.grading import answers
from lib.tiny import problems

DIRECT_ANSWER = "The answer"  # the words with which the embedded model answers without its work

Level = tuple[int, int]  # (votes for the majority's answer, responses)


def answer_of(question: str) -> int | None:
    """The true answer; None unless the generator can read the problem and it is well posed."""
    problem = problems.parse(question)
    if problem is None:
        return None
    return problem.answer


def domain_of(question: str) -> str | None:
    """The problem's domain, as "number_theory"; None unless the generator can read the problem."""
    problem = problems.parse(question)
    if problem is None:
        return None
    return problem.domain


def fresh_questions(count: int, seed: int = 0) -> list[str]:
    """`count` different questions of which the embedded model was trained on none."""
    return [problem.question for problem in problems.fresh(count, seed)]


def shows_work(response: str) -> bool:
    """Whether something stands before the words with which a direct answer begins."""
    return bool(response) and not response.startswith(DIRECT_ANSWER)


def vote_precision(voted_rows: Iterable[dict]) -> dict[Level, tuple[int, int]]:
    """How often the answer that most responses agree on is the true one, by how many agree.

    {(votes, responses): (rows whose answer is true, rows)}, most votes first, over the rows whose
    true answer is known. A row has `instruction`, `answer` (the majority's) and `marks` (one for
    each response). Empty if the generator can read no instruction.
    """
    row_counts: Counter[Level] = Counter()
    true_counts: Counter[Level] = Counter()
    for voted_row in voted_rows:
        true_answer = answer_of(voted_row["instruction"])
        if true_answer is None:
            continue
        majority_answer = voted_row["answer"]
        marks = voted_row["marks"]
        votes = marks.count("right")
        level = (votes, len(marks))
        row_counts[level] += 1
        if answers.is_equal(majority_answer, str(true_answer)):
            true_counts[level] += 1
    precision = {}
    for level in sorted(row_counts, key=_votes_of, reverse=True):
        precision[level] = (true_counts[level], row_counts[level])
    return precision


def _votes_of(level: Level) -> int:
    votes, _ = level
    return votes
