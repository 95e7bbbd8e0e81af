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
the other, since DPO learns length if length is the difference; the lengths are printed. Without
scores (responses that were not ranked) only right over wrong makes a pair.
"""

import math
from dataclasses import asdict, dataclass

from lib import cli, rows
from lib.errors import UserError
from lib.inference.requests import user_turn
from lib.output import Output
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
            agreement = "--min_agreement wants a share from 0 to 1"
            others = "--min_margin 0 or more, --max_length_ratio 1 or more"
            raise UserError(f"{agreement}, {others}")


def make_pair(row: dict, limits: Limits) -> tuple[dict, str | None]:
    """(the row of a pair, why it is none)."""
    texts, marks, scores = row["responses"], row["marks"], row.get("scores")
    pair = {
        "id": row.get("id") or rows.row_id(row["instruction"]),
        "question": row["instruction"],
        "answer": row["answer"],
        "agreement": row["agreement"],
        "prompt": user_turn(row["instruction"]),
    }
    if scores and not all(map(math.isfinite, scores)):
        return pair, "score is not a number"
    if row["agreement"] < limits.min_agreement:
        return pair, "little agreement"
    right, wrong = right_and_wrong(marks, scores)
    if not right:  # only truncated responses give the majority's answer
        return pair, "no right response"
    best = right[0]
    others = wrong
    if not wrong and scores:
        others = right[1:]
    others = [place for place in others if texts[place].strip() != texts[best].strip()]
    if not others:
        return pair, "nothing to reject"
    worst = others[-1]
    for side, place in (("chosen", best), ("rejected", worst)):
        pair[side] = assistant_turn(texts[place])
        pair[f"{side}_mark"] = marks[place]
        pair[f"{side}_score"] = scores[place] if scores else None
    if scores and scores[best] - scores[worst] < limits.min_margin:
        return pair, "small margin"
    shorter, longer = sorted((len(texts[best]), len(texts[worst])))
    if longer > limits.max_length_ratio * max(shorter, 1):
        return pair, "lengths apart"
    return pair, None


def right_and_wrong(marks: list[str], scores: list[float] | None) -> tuple[list[int], list[int]]:
    """The places of the right and of the wrong responses, the best-scored first."""
    ranked = list(range(len(marks)))
    if scores:
        ranked.sort(key=lambda place: -scores[place])
    right = [place for place in ranked if marks[place] == "right"]
    wrong = [place for place in ranked if marks[place] in ("wrong", "no answer")]
    return right, wrong


def lengths(pairs: list[dict]) -> list[str]:
    """A table of the kinds of pairs: how many, and how long in words both sides are."""
    columns = {"pairs": [], "count": [], "share": [], "words chosen": [], "words rejected": []}
    for mark in ("wrong", "no answer", "right"):
        of_kind = [pair for pair in pairs if pair["rejected_mark"] == mark]
        columns["pairs"].append(f"right over {mark}")
        columns["count"].append(f"{len(of_kind):,}")
        columns["share"].append(percent(len(of_kind), len(pairs)))
        for side in ("chosen", "rejected"):
            columns[f"words {side}"].append(f"{mean_words(of_kind, side):.1f}")
    return markdown(columns)


def mean_words(pairs: list[dict], side: str) -> float:
    """The mean length of one side; 0 without pairs."""
    words = [len(pair[side][0]["content"].split()) for pair in pairs]
    return sum(words) / len(words) if words else 0


def main(
    voted_paths: str,
    save_path: str,
    limits: Limits = Limits(),
    overwrite: bool = False,
):
    paths = tuple(cli.comma_list(voted_paths))
    if not paths:
        raise UserError(f"--voted_paths {voted_paths!r}: no file is named")
    out = Output(save_path, "prep_pairs", asdict(limits), paths, overwrite)
    if out.announce(f"preference pairs of {len(paths)} files"):
        return
    pairs = []
    for path in paths:
        for row in rows.read(path, need=NEED):
            pairs.append(make_pair(row, limits))
    out.write_rows(pairs, notes={})
    print("\n".join(lengths(rows.read(save_path))))


if __name__ == "__main__":
    cli.run(main)
