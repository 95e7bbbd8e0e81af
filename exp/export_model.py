"""Export a trained model: its adapter alone, merged into its base, in 4 bits or as GGUF, with proof that the merge is the model.

in    a model and --adapter_path FOLDER    from sft, dpo or grpo; or a fully trained model alone
out   models/export/         the weights, tokenizer, settings.json, merge_proof.json, README.md (card, from the run's own records)
      python exp/export_model.py --model_path data/models/tiny --adapter_path models/sft --save_path models/export

--method lora, merged_16bit, merged_4bit (bitsandbytes) or gguf (llama.cpp's convert_hf_to_gguf.py on the PATH). The proof:
adapter and merged model read the same answers; the largest difference of a logit, and the share of tokens on whose successor both
agree. An export that is the base again, such as of a zero adapter, is refused. --push_to_hub OWNER/NAME uploads it (HF_TOKEN).
"""

import json
import shutil
import subprocess
from pathlib import Path

from lib import chat, cli, models, rows
from lib.errors import UserError, near
from lib.output_folder import OutputFolder
from lib.progress import say
from lib.tiny import problems
from lib.training import policy

METHODS = ("lora", "merged_16bit", "merged_4bit", "gguf")
CONVERTER = "convert_hf_to_gguf.py"
LEAST_AGREEMENT = {
    "merged_16bit": 0.99,
    "merged_4bit": 0.0,
}  # of 4 bits it is said, and no bound is known
QUESTIONS = 32

CARD = """# {name}

{manner} of `{model}`, exported as {method} by Tiding.

## How it was trained

{settings}

## Does the export say what the training left?

{proof}
"""


def logits_of(model: object, chats: list[list[int]], answers: list[list[int]]) -> list:
    """The logits, [tokens of the answer, vocabulary] in fp32, with which the model reads each answer after its chat."""
    import torch

    found = []
    with torch.inference_mode():
        for asked, said in zip(chats, answers, strict=True):
            read = model(input_ids=torch.tensor([asked + said], device=model.device)).logits[0]
            found.append(read[len(asked) - 1 : len(asked) - 1 + len(said)].float().cpu())
    return found


def agreement(a: list, b: list) -> dict:
    """Of two models' logits on the same answers: the largest difference, and the share of tokens with the same argmax."""
    import torch

    same, total = 0, 0
    for x, y in zip(a, b, strict=True):
        same, total = same + int((x.argmax(-1) == y.argmax(-1)).sum()), total + len(x)
    largest = max(float(torch.max(torch.abs(x - y))) for x, y in zip(a, b, strict=True))
    return {
        "largest_logit_difference": round(largest, 6),
        "token_agreement": round(same / total, 6),
        "tokens": total,
    }


def spoken(model: object, tokenizer: object) -> tuple[list[list[int]], list[list[int]]]:
    """(chats, answers) as token ids: the model's own greedy answers to fresh problems, which every side then reads."""
    import torch

    chats = [chat.encode(tokenizer, chat.render(tokenizer, [{"role": "user", "content": p.question}]))
             for p in problems.fresh(QUESTIONS, seed=0)]  # fmt: skip
    answers = []
    with torch.inference_mode():
        for asked in chats:
            ids = torch.tensor([asked], device=model.device)
            said = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=64,
                                  pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id)  # fmt: skip
            answers.append(said[0, len(asked) :].tolist())
    return chats, answers


def load(path: str, **how: object) -> object:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, **how).eval()


def merged(model: models.Model) -> tuple[object, dict, dict]:
    """(the merged model in fp32, what its adapter read before, with which chats and answers); UserError: the base again."""
    import torch
    from peft import PeftModel

    tokenizer = chat.load_tokenizer(model.path)
    base = load(model.path, dtype=torch.float32)
    whole = PeftModel.from_pretrained(base, model.adapter).eval()
    if not any(
        float(p.abs().max()) > 0 for name, p in whole.named_parameters() if "lora_B" in name
    ):
        raise UserError(
            f"{model.adapter}: every B matrix of the adapter is zero, its merge would be {Path(model.path).name} again"
        )
    chats, answers = spoken(whole, tokenizer)
    before = logits_of(whole, chats, answers)
    return whole.merge_and_unload(), before, {"chats": chats, "answers": answers}


def card(model: models.Model, method: str, proof: dict) -> str:
    """README.md of the export, from the training's settings and the proof."""
    trained = Path(model.adapter or model.path)
    made = (
        json.loads((trained / "settings.json").read_bytes())
        if (trained / "settings.json").exists()
        else {}
    )
    lines = [f"| {k} | {v} |" for k, v in made.items()]
    settings = (
        "\n".join(["| setting | value |", "| --- | --- |", *lines])
        if lines
        else "Nothing is recorded beside the weights."
    )
    said = (
        "\n".join(f"- {k.replace('_', ' ')}: {v}" for k, v in proof.items())
        or "The weights are the training's own files."
    )
    return CARD.format(name=trained.name, manner="A LoRA adapter" if model.adapter else "A full fine-tuning", method=method,
                       model=Path(model.path).name if model.adapter else made.get("model", "its base"), settings=settings,
                       proof=said)  # fmt: skip


def main(
    model_path: str,
    save_path: str,
    adapter_path: str = "",
    method: str = "merged_16bit",
    push_to_hub: str = "",
    overwrite: bool = False,
):
    if method not in METHODS:
        raise UserError(f"no method {method!r}; {near(method, METHODS)}")
    model = models.find(model_path, adapter_path)
    if not adapter_path and method == "lora":
        raise UserError("--method lora exports an adapter; give --adapter_path")
    if method == "gguf" and not shutil.which(CONVERTER):
        raise UserError(f"--method gguf needs llama.cpp's {CONVERTER} on the PATH")
    folder = OutputFolder(
        save_path, "export_model", {"model": models.identity(model), "method": method}, overwrite
    )
    if folder.finished:
        say(f"{save_path} is finished; nothing to do")
        return
    say(f"{model.name} as {method} -> {save_path}")
    policy.begin()
    folder.open()
    proof: dict = {}

    def write(whole: Path) -> None:
        proof.update(exported(model, method, whole, folder.part / "half"))
        rows.write_json(whole / "merge_proof.json", proof)
        rows.write_whole(whole / "README.md", card(model, method, proof).encode())

    folder.finish(write)
    shown = f": token agreement {proof['token_agreement']:.2%} over {proof['tokens']:,} tokens, largest logit difference " \
            f"{proof['largest_logit_difference']:.4f}" if proof else ""  # fmt: skip
    say(f"wrote {save_path}{shown}")
    if push_to_hub:
        from huggingface_hub import HfApi

        HfApi().create_repo(push_to_hub, exist_ok=True)
        HfApi().upload_folder(repo_id=push_to_hub, folder_path=save_path)
        say(f"uploaded to {push_to_hub}")


def exported(model: models.Model, method: str, whole: Path, half: Path) -> dict:
    """Write the weights and the tokenizer into `whole`; the proof where something was merged. UserError: it does not hold."""
    import torch

    source = Path(model.adapter or model.path)
    if method == "lora" or not model.adapter and method == "merged_16bit":
        shutil.copytree(
            source,
            whole,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("settings.json", "*.jsonl", "README.md"),
        )
        return {}
    if model.adapter:
        one, before, read = merged(model)
    else:
        one = load(model.path, dtype=torch.float32)
        chats, answers = spoken(one, chat.load_tokenizer(model.path))
        before, read = logits_of(one, chats, answers), {"chats": chats, "answers": answers}
    target = whole if method == "merged_16bit" else half
    one.to(torch.bfloat16).save_pretrained(target)
    chat.load_tokenizer(model.path).save_pretrained(target)
    del one
    if method == "gguf":
        subprocess.run(
            [CONVERTER, str(half), "--outfile", str(whole / f"{model.name}.gguf")], check=True
        )
        return {}
    if method == "merged_4bit":
        from transformers import BitsAndBytesConfig

        small = load(
            str(half),
            quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        )
        small.save_pretrained(whole)
        chat.load_tokenizer(model.path).save_pretrained(whole)
        after = small
    else:
        after = load(str(whole), dtype=torch.float32)
    proof = agreement(before, logits_of(after, **read))
    if proof["token_agreement"] < LEAST_AGREEMENT[method]:
        raise UserError(f"the merged model is not the trained one: they agree on {proof['token_agreement']:.1%} of "
                            f"{proof['tokens']} tokens, expected at least {LEAST_AGREEMENT[method]:.0%}")  # fmt: skip
    return proof


if __name__ == "__main__":
    cli.run(main)
