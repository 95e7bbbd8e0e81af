"""Make preference pairs of verified, ranked responses: a right one chosen, the worst other one rejected.

in    refined/voted.json    from vote_res: instruction, responses, finish_reasons, scores, marks, answer, agreement
out   refined/pairs.jsonl      id, prompt, chosen, rejected (messages), chosen_score, rejected_score, their marks, question, …
      python exp/prep_pairs.py --voted_paths data/demo/refined/voted.json --save_path data/demo/refined/pairs.jsonl

Chosen is the best-scored response that is marked right; rejected the worst-scored wrong one, or where none is wrong the worst
right one: there the score alone speaks. The two differ in their text and by --min_margin in their scores. A truncated response is
neither: as the chosen one it teaches not to end, as the rejected one that its beginning was bad. --max_length_ratio bounds how
much longer one may be than the other, as DPO learns length where length is the difference; the lengths are printed. Without
scores (responses that were not ranked) only right over wrong makes a pair.
"""

import math

from lib import cli, rows, sources
from lib.errors import UserError
from lib.output import Output
from lib.tables import markdown, percent


def pair(
    row: dict, min_agreement: float, min_margin: float, max_length_ratio: float
) -> tuple[dict, str | None]:
    """(the row of a pair, why it is none)."""
    texts, marks, scores = row["responses"], row["marks"], row.get("scores")
    made = {
        "id": row.get("id") or rows.row_id(row["instruction"]),
        "question": row["instruction"],
        "answer": row["answer"],
    }
    made |= {
        "agreement": row["agreement"],
        "prompt": [{"role": "user", "content": row["instruction"]}],
    }
    if scores and not all(map(math.isfinite, scores)):
        return made, "score is not a number"
    if row["agreement"] < min_agreement:
        return made, "little agreement"
    ranked = (
        sorted(range(len(texts)), key=lambda k: -scores[k]) if scores else list(range(len(texts)))
    )
    right, wrong = (
        [k for k in ranked if marks[k] in kinds] for kinds in (("right",), ("wrong", "no answer"))
    )
    if not right:  # the votes' answer is given by truncated responses alone
        return made, "no right response"
    best, others = right[0], wrong or (right[1:] if scores else [])
    others = [k for k in others if texts[k].strip() != texts[best].strip()]
    if not others:
        return made, "nothing to reject"
    worst = others[-1]
    lengths = sorted(len(texts[k]) for k in (best, worst))
    for name, k in (("chosen", best), ("rejected", worst)):
        made[name] = [{"role": "assistant", "content": texts[k]}]
        made |= {f"{name}_mark": marks[k], f"{name}_score": scores[k] if scores else None}
    if scores and scores[best] - scores[worst] < min_margin:
        return made, "small margin"
    if lengths[1] > max_length_ratio * max(lengths[0], 1):
        return made, "lengths apart"
    return made, None


def lengths(pairs: list[dict]) -> list[str]:
    """What the pairs are made of: how many of each kind, and how long, in words, the two sides are."""
    kinds = {
        "right over wrong": "wrong",
        "right over no answer": "no answer",
        "right over right": "right",
    }
    found = {kind: [p for p in pairs if p["rejected_mark"] == mark] for kind, mark in kinds.items()}
    words = {
        side: [
            sum(len(p[side][0]["content"].split()) for p in some) / len(some) if some else 0
            for some in found.values()
        ]
        for side in ("chosen", "rejected")
    }
    return markdown({"pairs": list(kinds), "count": [f"{len(x):,}" for x in found.values()],
                     "share": [percent(len(x), len(pairs)) for x in found.values()],
                     **{f"words {side}": [f"{n:.1f}" for n in means] for side, means in words.items()}})  # fmt: skip


def main(
    voted_paths: str,
    save_path: str,
    min_agreement: float = 0.5,
    min_margin: float = 0.01,
    max_length_ratio: float = 4.0,
    overwrite: bool = False,
):
    paths = tuple(p.strip() for p in voted_paths.split(",") if p.strip())
    if not paths or not 0 <= min_agreement <= 1 or min_margin < 0 or max_length_ratio < 1:
        raise UserError("--voted_paths wants files, --min_agreement a share from 0 to 1, --min_margin 0 or more, "
                            "--max_length_ratio 1 or more")  # fmt: skip
    bounds = {
        "min_agreement": min_agreement,
        "min_margin": min_margin,
        "max_length_ratio": max_length_ratio,
    }
    out = Output(save_path, "prep_pairs", bounds, paths, overwrite)
    if out.announce(f"preference pairs of {len(paths)} files"):
        return
    need = ("instruction", "responses", "marks", "answer", "agreement")
    sources.write(
        out, [pair(row, **bounds) for path in paths for row in rows.read(path, need=need)], {}
    )
    print("\n".join(lengths(rows.read(save_path))))


if __name__ == "__main__":
    cli.run(main)
