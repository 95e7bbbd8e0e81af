"""Answer each instruction several times, for preference pairs.

in    algebra_ins.json        id, instruction
out   algebra_ins_7res.json   id, instruction, responses, finish_reasons
      python exp/gen_po_multi_res.py --model_path data/models/tiny --ins_data_path data/demo/algebra_ins.json \\
          --save_path data/demo/algebra_ins_7res.json --temperature 0.8 --num_responses 7 --max_tokens 256

All answers of a row are one request: the engine reads the prompt once and samples each with a seed of its own.
"""

from lib import cli, models, rows
from lib.inference import generate
from lib.inference.requests import Completion
from lib.output import Output


def columns(completions: tuple[Completion, ...]) -> dict:
    return {"responses": [c.text.strip() for c in completions], "finish_reasons": [c.finish_reason for c in completions]}


def main(
    model_path: str,
    ins_data_path: str,
    save_path: str,
    temperature: float = 0.8,
    top_p: float = 0.95,
    max_tokens: int = 4096,
    num_responses: int = 7,
    seed: int = 0,
    engine: str = "vllm",
    base_url: str = "",
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
):
    sampling = generate.sampling(temperature, top_p, max_tokens, num_responses)
    if num_responses > 1 and temperature == 0:
        raise cli.UserError(f"--temperature 0 gives {num_responses} times the same answer; use 0.8, or --num_responses 1")
    backend = generate.Backend(engine, base_url, batch_size, trust_remote_code)
    model = models.find(model_path)
    settings = {"model": models.identity(model), "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    settings |= {"num_responses": num_responses, "seed": seed}
    out = Output(save_path, "gen_po_multi_res", settings, (ins_data_path,), overwrite)
    if generate.announce(out, f"{num_responses} answers to each row of {ins_data_path}", model):
        return
    instructions = rows.read(ins_data_path, need=("instruction",))
    generate.answer(out, instructions, model, sampling, seed, backend, columns)


if __name__ == "__main__":
    cli.run(main)
