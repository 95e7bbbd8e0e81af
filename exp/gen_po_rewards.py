"""Score every answer with a reward model and put the best first.

in    algebra_ins_7res.json          id, instruction, responses, finish_reasons
out   algebra_ins_7res_armorm.json   id, instruction, responses (best first), finish_reasons,
                                     scores; unscored, where a response has no score
      python exp/gen_po_rewards.py --model_name_or_path data/models/tiny-rm \\
          --ins_data_path data/demo/algebra_ins_7res.json \\
          --save_path data/demo/algebra_ins_7res_armorm.json

Reward models run in vLLM's pooling runner: a sequence classifier, whose score is the raw logit, or
a model whose head is computed here (lib/inference/reward_heads), such as
RLHFlow/ArmoRM-Llama3-8B-v0.1. One that scores by Python code of its own repository runs through
transformers: --trust_remote_code allows that code to run.

A response that does not fit the reward model's context, or whose score is not a number, ranks last.
Its score is null and `unscored` has the reason, so that nothing chooses or rejects it. A row is
dropped if none of its responses has a score.
"""

import math
from dataclasses import replace

from lib import cli, models, rows
from lib.inference import generate
from lib.inference.backends import Where
from lib.inference.requests import Reply, Request, Score, user_turn
from lib.output import EXTEND, Output
from lib.progress import shown_path


def rank(row: dict, scores: list[Score]) -> tuple[dict, str | None]:
    """(the row with its responses by falling score, why it is dropped).

    All that belongs to one response moves with it. Equal scores keep their order, and responses
    without a score come last.
    """
    scored, unscored = [], []
    for place, score in enumerate(scores):
        if score.value is None:
            unscored.append(place)
        else:
            scored.append(place)
    if not scored:
        return row, scores[0].reason
    scored.sort(key=lambda place: -scores[place].value)
    best_first = scored + unscored
    ranked_row = dict(row)
    for column in ("responses", "finish_reasons"):
        if column in row:
            ranked_row[column] = [row[column][place] for place in best_first]
    values = [round(scores[place].value, 6) for place in scored]
    ranked_row["scores"] = values + [None] * len(unscored)
    if unscored:
        ranked_row["unscored"] = [scores[place].reason for place in unscored]
    return ranked_row, None


def finite(score: Score) -> Score:
    """The score, or none if it is not a number that JSON can hold."""
    if score.value is None or math.isfinite(score.value):
        return score
    return Score(None, "score is not a number")


def is_ranking_of(ranked_row: dict, row: dict) -> bool:
    """Whether these are the row's responses, in whatever order."""
    is_same_problem = ranked_row["instruction"] == row["instruction"]
    return is_same_problem and sorted(ranked_row["responses"]) == sorted(row["responses"])


def main(
    model_name_or_path: str,
    ins_data_path: str,
    save_path: str,
    where: Where = Where(),
    overwrite: bool = False,
):
    model = models.find(model_name_or_path)
    settings = {"model": models.identity(model)}
    inputs = (ins_data_path,)
    out = Output(save_path, "gen_po_rewards", settings, inputs, overwrite, new_input=EXTEND)
    if out.announce(f"scores for the answers of {shown_path(ins_data_path)} with {model.name}"):
        return
    if where.engine == "openai":
        model = replace(model, runner="pooling")  # how it is run is for its server to know
    else:
        from lib.inference import reward_engine

        model = reward_engine.with_runner(model, where.trust_remote_code)
    answered = rows.read(ins_data_path, need=("instruction", "responses"))
    out.answers_to(answered, is_ranking_of)

    def make_request(key: int) -> Request:
        question = user_turn(answered[key]["instruction"])
        chats = []
        for response in answered[key]["responses"]:
            chats.append([*question, {"role": "assistant", "content": response}])
        return Request(key, chats)

    def make_row(key: int, reply: Reply) -> tuple[dict, str | None]:
        row = answered[key]
        if reply.refused:
            return row, reply.refused
        return rank(row, [finite(score) for score in reply.scores])

    generate.ask_each(out, range(len(answered)), model, where, make_request, make_row)


if __name__ == "__main__":
    cli.run(main)
