"""Make training rows of the procedural problems: questions with worked solutions, none of them held out for evaluation.

in    nothing                drawn by lib/tiny/problems.py; --seed names the draw
out   train.json             id, question, answer, solution, system_prompt, source_dataset (the domain), original_id
      python exp/prep_tiny.py --num_examples 1024 --save_path data/tiny/train.json

`system_prompt` is the domain's, with which the embedded model was trained: grpo asks with it, sft with its --format's instead.
"""

from lib import cli, rows, sources
from lib.errors import UserError
from lib.output import Output
from lib.tiny import problems


def main(save_path: str, num_examples: int = 1024, seed: int = 0, overwrite: bool = False):
    if num_examples < 1:
        raise UserError(f"--num_examples {num_examples}: at least 1 problem")
    out = Output(
        save_path, "prep_tiny", {"num_examples": num_examples, "seed": seed}, (), overwrite
    )
    if out.announce(f"{num_examples:,} procedural problems"):
        return
    made = []
    for number, p in enumerate(problems.training(num_examples, f"prep {seed}")):
        row = {
            "id": rows.row_id(p.question),
            "question": p.question,
            "answer": str(p.answer),
            "solution": " ".join(f"{s}." for s in p.steps),
        }
        prompt = problems.system_prompt(p.domain)
        made.append(
            (
                row
                | {"system_prompt": prompt, "source_dataset": p.domain, "original_id": str(number)},
                None,
            )
        )
    sources.write(out, made, {})


if __name__ == "__main__":
    cli.run(main)
