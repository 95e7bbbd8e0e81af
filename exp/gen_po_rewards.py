"""Score every answer with a reward model and put the best first.

in    algebra_ins_7res.json          id, instruction, responses, finish_reasons
out   algebra_ins_7res_armorm.json   id, instruction, responses (best first), scores, finish_reasons
      python exp/gen_po_rewards.py --model_name_or_path data/models/tiny-rm --ins_data_path data/demo/algebra_ins_7res.json \\
          --save_path data/demo/algebra_ins_7res_armorm.json

A sequence classifier runs in vLLM's pooling runner and its score is the raw logit. RLHFlow/ArmoRM-Llama3-8B-v0.1 runs by its own
code through transformers: --trust_remote_code allows that code to run.
"""

import math
from dataclasses import replace

from lib import cli, models, rows
from lib.inference import generate
from lib.inference.requests import Reply, Request
from lib.output import Output


def ranked(row: dict, scores: tuple[float, ...]) -> dict:
    """The row with its responses, and all that belongs to one response, in order of falling score; ties keep their order."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    columns = {k: [row[k][i] for i in order] for k in ("responses", "finish_reasons") if k in row}
    return row | columns | {"scores": [round(scores[i], 6) for i in order]}


def main(
    model_name_or_path: str,
    ins_data_path: str,
    save_path: str,
    engine: str = "vllm",
    base_url: str = "",
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
):
    backend = generate.Backend(engine, base_url, batch_size, trust_remote_code)
    model = models.find(model_name_or_path)
    if model.runner == "generate":  # not in configs/models.yaml: here it can only be a classifier
        model = replace(model, runner="pooling")
    if model.runner == "transformers" and engine == "vllm" and not trust_remote_code:
        raise cli.UserError(f"{model.path} is scored by Python code of its own repository; --trust_remote_code allows that")
    out = Output(save_path, "gen_po_rewards", {"model": models.identity(model)}, (ins_data_path,), overwrite)
    if generate.announce(out, f"scores for the answers of {ins_data_path}", model):
        return
    answered = rows.read(ins_data_path, need=("instruction", "responses"))
    out.open(generate.notes(backend))

    def request(place: int) -> Request:
        row = answered[place]
        ask = {"role": "user", "content": row["instruction"]}
        return Request(place, [[ask, {"role": "assistant", "content": text}] for text in row["responses"]])

    def accept(reply: Reply) -> tuple:
        row = answered[reply.key]
        if reply.refused or not all(map(math.isfinite, reply.scores)):
            out.add(reply.key, row, reply.refused or "score is not a number")
        else:
            out.add(reply.key, ranked(row, reply.scores))
        return ()

    todo = (request(place) for place in range(len(answered)) if place not in out)
    generate.run(out, lambda: backend.load(model), todo, accept, len(answered), batch_size)
    out.finish(len(answered))
    generate.done(out)


if __name__ == "__main__":
    cli.run(main)
