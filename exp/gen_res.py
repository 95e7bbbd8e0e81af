"""Answer each instruction once.

in    algebra_ins.json       id, instruction
out   algebra_ins_res.json   id, instruction, response, finish_reason
      python exp/gen_res.py --model_path data/models/tiny --ins_data_path data/demo/algebra_ins.json \\
          --save_path data/demo/algebra_ins_res.json --temperature 0.05 --max_tokens 256

Thinking between <think> tags stays in the response. An answer cut off by --max_tokens has finish_reason "length".
"""

from lib import cli, models, rows
from lib.inference import generate
from lib.inference.requests import Completion
from lib.output import Output


def columns(completions: tuple[Completion, ...]) -> dict:
    (only,) = completions
    return {"response": only.text.strip(), "finish_reason": only.finish_reason}


def main(
    model_path: str,
    ins_data_path: str,
    save_path: str,
    temperature: float = 0.0,
    top_p: float = 1.0,
    max_tokens: int = 4096,
    seed: int = 0,
    engine: str = "vllm",
    base_url: str = "",
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
):
    sampling = generate.sampling(temperature, top_p, max_tokens)
    backend = generate.Backend(engine, base_url, batch_size, trust_remote_code)
    model = models.find(model_path)
    settings = {"model": models.identity(model), "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    out = Output(save_path, "gen_res", settings | {"seed": seed}, (ins_data_path,), overwrite)
    if generate.announce(out, f"one answer to each row of {ins_data_path}", model):
        return
    instructions = rows.read(ins_data_path, need=("instruction",))
    generate.answer(out, instructions, model, sampling, seed, backend, columns)


if __name__ == "__main__":
    cli.run(main)
