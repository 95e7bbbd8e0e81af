"""Translate each instruction into French.

in    algebra_ins.json      id, instruction
out   algebra_ins_fr.json   id, instruction, translation
      python exp/translate_ins.py --model_path 0 --ins_data_path ins.json --save_path fr.json
"""

from lib import cli, models, rows
from lib.inference import generate
from lib.inference.backends import Where
from lib.inference.requests import Reply, Request, Sampling, user_turn
from lib.output import Output


def main(model_path: str, ins_data_path: str, save_path: str, where: Where = Where()):
    model, sampling = models.find(model_path), Sampling(temperature=0.0, max_tokens=256)
    settings = {"model": models.identity(model)}
    out = Output(save_path, "translate_ins", settings, (ins_data_path,))
    if out.announce(f"{ins_data_path} in French"):
        return
    instructions = rows.read(ins_data_path, need=("instruction",))

    def make_request(key: int) -> Request:
        prompt = f"Translate into French: {instructions[key]['instruction']}"
        return Request(key, user_turn(prompt), sampling)

    def make_row(key: int, reply: Reply) -> tuple[dict, str | None]:
        row = rows.with_id(instructions[key])
        completions, why = generate.answers_of(reply)
        for completion in completions:
            row["translation"] = completion.text
        return row, why

    generate.ask_each(out, range(len(instructions)), model, where, make_request, make_row)


if __name__ == "__main__":
    cli.run(main)
