"""Make preference pairs of majority-voted, ranked responses: a right one over the worst other one.

in    refined/voted.json     from vote_res: instruction, responses, finish_reasons, scores, marks,
                             answer, agreement
out   refined/pairs.jsonl    id, prompt, chosen, rejected (messages), chosen_score, rejected_score,
                             chosen_mark, rejected_mark, question, answer, agreement
      python exp/prep_pairs.py --voted_paths data/demo/refined/voted.json \\
          --save_path data/demo/refined/pairs.jsonl

Chosen is the best-scored response that is marked right. Rejected is the worst-scored wrong one, or
if none is wrong the worst right one: there the score alone speaks. The two differ in their text,
and by --min_margin in their scores. A truncated response is neither: chosen it would teach not to
end, rejected that its beginning was bad. --max_length_ratio bounds how much longer one may be than
the other, since DPO learns length if length is the difference; the lengths are printed. A response
without a score among scored ones (too long for the reward model) is neither as well. Without scores
(responses that were not ranked) only right over wrong makes a pair.
"""

import math
from dataclasses import asdict, dataclass

from lib import cli, rows
from lib.errors import UserError
from lib.inference.requests import user_turn
from lib.output import REMAKE, Output
from lib.tables import markdown, percent
from lib.training.conversations import assistant_turn

NEED = ("instruction", "responses", "marks", "answer", "agreement")


@dataclass(frozen=True)
class Limits:
    """What makes a pair; the ratio is of the lengths in characters."""

    min_agreement: float = 0.5
    min_margin: float = 0.01
    max_length_ratio: float = 4.0

    def __post_init__(self):
        is_share = 0 <= self.min_agreement <= 1
        if not is_share or self.min_margin < 0 or self.max_length_ratio < 1:
            share_range = "--min_agreement wants a share from 0 to 1"
            other_ranges = "--min_margin 0 or more, --max_length_ratio 1 or more"
            raise UserError(f"{share_range}, {other_ranges}")


def make_pair(voted_row: dict, limits: Limits) -> tuple[dict, str | None]:
    """(the row of a pair, why it is none)."""
    question = voted_row["instruction"]
    responses = voted_row["responses"]
    scores = voted_row.get("scores")
    pair = {
        "id": voted_row.get("id") or rows.row_id(question),
        "question": question,
        "answer": voted_row["answer"],
        "agreement": voted_row["agreement"],
        "prompt": user_turn(question),
    }
    if scores and any(score is not None and not math.isfinite(score) for score in scores):
        return pair, "score is not a number"
    if voted_row["agreement"] < limits.min_agreement:
        return pair, "little agreement"
    right, wrong = right_and_wrong(voted_row["marks"], scores)
    if not right:  # only truncated or unscored responses give the majority's answer
        return pair, "no right response"
    chosen = right[0]
    rejectable = wrong
    if not wrong and scores:
        rejectable = right[1:]
    rejected = last_of_other_text(rejectable, responses, chosen)
    if rejected is None:
        return pair, "nothing to reject"
    pair |= side_of_pair("chosen", voted_row, chosen)
    pair |= side_of_pair("rejected", voted_row, rejected)
    if scores and scores[chosen] - scores[rejected] < limits.min_margin:
        return pair, "small margin"
    lengths = (len(responses[chosen]), len(responses[rejected]))
    shorter, longer = sorted(lengths)
    if longer > limits.max_length_ratio * max(shorter, 1):
        return pair, "lengths apart"
    return pair, None


def right_and_wrong(
    marks: list[str], scores: list[float | None] | None
) -> tuple[list[int], list[int]]:
    """The numbers of the right and of the wrong responses, the best-scored first.

    Where there are scores, a response without one is in neither.
    """
    ranked = list(range(len(marks)))
    if scores:
        ranked = [number for number in ranked if scores[number] is not None]
        ranked.sort(key=lambda number: -scores[number])
    right, wrong = [], []
    for number in ranked:
        if marks[number] == "right":
            right.append(number)
        elif marks[number] in ("wrong", "no answer"):
            wrong.append(number)
    return right, wrong


def last_of_other_text(ranked: list[int], responses: list[str], chosen: int) -> int | None:
    """The last of the ranked responses whose text is not the chosen one's; None if all are."""
    chosen_text = responses[chosen].strip()
    for number in reversed(ranked):
        if responses[number].strip() != chosen_text:
            return number
    return None


def side_of_pair(side: str, voted_row: dict, number: int) -> dict:
    """What a pair holds of one response, under `side`, `side`_mark and `side`_score."""
    scores = voted_row.get("scores")
    return {
        side: assistant_turn(voted_row["responses"][number]),
        f"{side}_mark": voted_row["marks"][number],
        f"{side}_score": scores[number] if scores else None,
    }


def length_table(pairs: list[dict]) -> list[str]:
    """A table of the kinds of pairs: how many, and how long in words both sides are."""
    columns = {"pairs": [], "count": [], "share": [], "words chosen": [], "words rejected": []}
    for mark in ("wrong", "no answer", "right"):
        pairs_of_kind = [pair for pair in pairs if pair["rejected_mark"] == mark]
        columns["pairs"].append(f"right over {mark}")
        columns["count"].append(f"{len(pairs_of_kind):,}")
        columns["share"].append(percent(len(pairs_of_kind), len(pairs)))
        for side in ("chosen", "rejected"):
            words = mean_words(pairs_of_kind, side)
            columns[f"words {side}"].append(f"{words:.1f}")
    return markdown(columns)


def mean_words(pairs: list[dict], side: str) -> float:
    """The mean length of one side; 0 without pairs."""
    if not pairs:
        return 0
    word_count = 0
    for pair in pairs:
        (message,) = pair[side]
        word_count += len(message["content"].split())
    return word_count / len(pairs)


def main(
    voted_paths: str,
    save_path: str,
    limits: Limits = Limits(),
    overwrite: bool = False,
):
    paths = tuple(cli.comma_list(voted_paths))
    if not paths:
        raise UserError(f"--voted_paths {voted_paths!r}: no file is named")
    out = Output(save_path, "prep_pairs", asdict(limits), paths, overwrite, new_input=REMAKE)
    if out.announce(f"preference pairs of {len(paths)} files"):
        return
    pairs = []
    for path in paths:
        for voted_row in rows.read(path, need=NEED):
            pairs.append(make_pair(voted_row, limits))
    out.write_rows(pairs, notes={})
    kept_pairs = rows.read(save_path)
    print("\n".join(length_table(kept_pairs)))


if __name__ == "__main__":
    cli.run(main)
