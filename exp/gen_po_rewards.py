"""Score every answer with a reward model and put the best first.

in    algebra_ins_7res.json          id, instruction, responses, finish_reasons
out   algebra_ins_7res_armorm.json   id, instruction, responses (best first), scores, finish_reasons
      python exp/gen_po_rewards.py --model_name_or_path data/models/tiny-rm \\
          --ins_data_path data/demo/algebra_ins_7res.json \\
          --save_path data/demo/algebra_ins_7res_armorm.json

A sequence classifier runs in vLLM's pooling runner and its score is the raw logit. The model
RLHFlow/ArmoRM-Llama3-8B-v0.1 runs by its own code through transformers: --trust_remote_code allows
that code to run.
"""

import math
from dataclasses import replace

from lib import cli, models, rows
from lib.errors import UserError
from lib.inference import generate
from lib.inference.backends import Where
from lib.inference.requests import Reply, Request, user_turn
from lib.output import EXTEND, Output
from lib.progress import shown_path


def rank(row: dict, scores: tuple[float, ...]) -> dict:
    """The row with its responses, and all that belongs to one response, by falling score.

    Responses with equal scores keep their order.
    """
    best_first = sorted(range(len(scores)), key=lambda index: -scores[index])
    ranked_row = dict(row)
    for column in ("responses", "finish_reasons"):
        if column in row:
            ranked_row[column] = [row[column][index] for index in best_first]
    ranked_row["scores"] = [round(scores[index], 6) for index in best_first]
    return ranked_row


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
    if model.runner == "generate":  # not in configs/models.yaml: here it can only be a classifier
        model = replace(model, runner="pooling")
    runs_own_code = model.runner == "transformers" and where.engine == "vllm"
    if runs_own_code and not where.trust_remote_code:
        what = "is scored by Python code of its own repository"
        raise UserError(f"{model.path} {what}; --trust_remote_code allows that")
    settings = {"model": models.identity(model)}
    inputs = (ins_data_path,)
    out = Output(save_path, "gen_po_rewards", settings, inputs, overwrite, new_input=EXTEND)
    if out.announce(f"scores for the answers of {shown_path(ins_data_path)} with {model.name}"):
        return
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
        if not all(map(math.isfinite, reply.scores)):
            return row, "score is not a number"
        return rank(row, reply.scores), None

    generate.ask_each(out, range(len(answered)), model, where, make_request, make_row)


if __name__ == "__main__":
    cli.run(main)
