"""Make training rows of the procedural problems: questions with worked solutions, none held out.

in    nothing                drawn by lib/tiny/problems.py; --seed names the draw
out   train.json             id, question, answer, solution, system_prompt,
                             source_dataset (the domain), original_id
      python exp/prep_tiny.py --num_examples 1024 --save_path data/tiny/train.json

No question is one of those that are held out for evaluation. `system_prompt` is the domain's, with
which the embedded model was trained: grpo asks with it, sft with its --format's instead.
"""

from lib import cli, rows
from lib.errors import UserError
from lib.output import Output
from lib.tiny import problems


def main(save_path: str, num_examples: int = 1024, seed: int = 0, overwrite: bool = False):
    if num_examples < 1:
        raise UserError(f"--num_examples {num_examples}: at least 1 problem")
    settings = {"num_examples": num_examples, "seed": seed}
    out = Output(save_path, "prep_tiny", settings, (), overwrite)
    if out.announce(f"{num_examples:,} procedural problems"):
        return
    training_rows = []
    for number, problem in enumerate(problems.training(num_examples, f"prep {seed}")):
        row = {
            "id": rows.row_id(problem.question),
            "question": problem.question,
            "answer": str(problem.answer),
            "solution": problem.solution,
            "system_prompt": problems.system_prompt(problem.domain),
            "source_dataset": problem.domain,
            "original_id": str(number),
        }
        training_rows.append((row, None))
    out.write_rows(training_rows, notes={})


if __name__ == "__main__":
    cli.run(main)
