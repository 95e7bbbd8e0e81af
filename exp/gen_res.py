"""Answer each instruction once.

in    algebra_ins.json       id, instruction
out   algebra_ins_res.json   id, instruction, response, finish_reason
      python exp/gen_res.py --model_path data/models/tiny --temperature 0.05 --max_tokens 256 \\
          --ins_data_path data/demo/algebra_ins.json --save_path data/demo/algebra_ins_res.json

Thinking stays in the response, between the model's own tags. An answer cut off by --max_tokens has
finish_reason "length". --system_prompt is said before each question, and --format adds that of a
layout in configs/formats.yaml; without either, --domain takes the one of the model's domains file.
"""

from dataclasses import asdict

from lib import cli, models, rows
from lib.grading.formats import AnswerStyle
from lib.inference import generate
from lib.inference.backends import Where
from lib.inference.requests import Reply, Request, Sampling, user_turn
from lib.output import EXTEND, Output
from lib.progress import shown_path


def main(
    model_path: str,
    ins_data_path: str,
    save_path: str,
    sampling: Sampling = Sampling(temperature=0.0),
    style: AnswerStyle = AnswerStyle(),
    seed: int = 0,
    where: Where = Where(),
    overwrite: bool = False,
):
    model = models.find(model_path)
    typed, sampling = sampling, generate.limited(model, sampling)
    system_prompt = style.text(model)
    settings = {"model": models.identity(model), **asdict(sampling), "seed": seed}
    if system_prompt:
        settings["system_prompt"] = system_prompt
    inputs = (ins_data_path,)
    out = Output(save_path, "gen_res", settings, inputs, overwrite, new_input=EXTEND)
    if out.announce(f"one answer to each row of {shown_path(ins_data_path)} with {model.name}"):
        return
    instructions = rows.read(ins_data_path, need=("instruction",))
    out.answers_to(instructions)
    generate.report_lowered(model, typed, sampling)
    generate.check_room(model, sampling)

    def make_request(key: int) -> Request:
        prompt = user_turn(instructions[key]["instruction"], system_prompt)
        return Request(key, prompt, sampling, seed=rows.derive_seed(seed, key))

    def make_row(key: int, reply: Reply) -> tuple[dict, str | None]:
        row = rows.with_id(instructions[key])
        completions, reason = generate.answers_of(reply)
        for completion in completions:
            row |= {"response": completion.text, "finish_reason": completion.finish_reason}
        return row, reason

    keys = range(len(instructions))
    generate.ask_each(out, keys, model, where, make_request, make_row)


if __name__ == "__main__":
    cli.run(main)
