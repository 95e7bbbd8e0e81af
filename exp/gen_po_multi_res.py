"""Answer each instruction several times, for preference pairs.

in    algebra_ins.json        id, instruction
out   algebra_ins_7res.json   id, instruction, responses, finish_reasons
      python exp/gen_po_multi_res.py --model_path data/models/tiny --num_responses 7 \\
          --ins_data_path data/demo/algebra_ins.json --save_path data/demo/algebra_ins_7res.json \\
          --temperature 0.8 --max_tokens 256

All answers of a row are one request: the engine reads the prompt once and samples each answer with
a seed of its own. --system_prompt, --format and --domain are those of gen_res.
"""

from dataclasses import asdict

from lib import cli, models, rows
from lib.errors import UserError
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
    sampling: Sampling = Sampling(temperature=0.8, top_p=0.95),
    num_responses: int = 7,
    style: AnswerStyle = AnswerStyle(),
    seed: int = 0,
    where: Where = Where(),
    overwrite: bool = False,
):
    if num_responses < 1:
        raise UserError(f"--num_responses {num_responses} is out of range")
    model = models.find(model_path)
    typed, sampling = sampling, generate.limited(model, sampling)
    if num_responses > 1 and sampling.temperature == 0:
        same = f"--temperature 0 gives {num_responses} times the same answer"
        raise UserError(f"{same}; use 0.8, or --num_responses 1")
    system_prompt = style.text(model)
    settings = {"model": models.identity(model), **asdict(sampling)}
    settings |= {"num_responses": num_responses, "seed": seed}
    if system_prompt:
        settings["system_prompt"] = system_prompt
    inputs = (ins_data_path,)
    out = Output(save_path, "gen_po_multi_res", settings, inputs, overwrite, new_input=EXTEND)
    what = f"{num_responses} answers to each row of {shown_path(ins_data_path)} with {model.name}"
    if out.announce(what):
        return
    instructions = rows.read(ins_data_path, need=("instruction",))
    out.answers_to(instructions)
    generate.report_lowered(model, typed, sampling)
    generate.check_room(model, sampling)

    def make_request(key: int) -> Request:
        prompt = user_turn(instructions[key]["instruction"], system_prompt)
        return Request(key, prompt, sampling, num_responses, seed=rows.derive_seed(seed, key))

    def make_row(key: int, reply: Reply) -> tuple[dict, str | None]:
        row = rows.with_id(instructions[key])
        completions, reason = generate.answers_of(reply)
        if completions:
            row["responses"] = [completion.text for completion in completions]
            row["finish_reasons"] = [completion.finish_reason for completion in completions]
        return row, reason

    keys = range(len(instructions))
    generate.ask_each(out, keys, model, where, make_request, make_row)


if __name__ == "__main__":
    cli.run(main)
