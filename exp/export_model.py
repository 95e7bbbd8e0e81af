"""Export a trained model: adapter alone, merged into its base, in 4 bits or as GGUF, with proof.

in    a model and --adapter_path FOLDER    from sft, dpo or grpo; or a fully trained model alone
out   models/export/         the weights, tokenizer, settings.json, merge_proof.json, README.md (a
                             card, from the run's own records)
      python exp/export_model.py --model_path data/models/tiny --adapter_path models/sft \\
          --save_path models/export

--method is lora, merged_16bit, merged_4bit (bitsandbytes) or gguf (llama.cpp's
convert_hf_to_gguf.py on the PATH). The proof that the merge is the model: the trained and the
merged one read the same answers, and it says the largest difference of a logit, and the share of
tokens on whose successor both agree. An export that is the base again, such as of a zero adapter,
is refused. --push_to_hub OWNER/NAME uploads it (HF_TOKEN).
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lib import chat, cli, models, rows
from lib.errors import UserError, near
from lib.inference.requests import user_turn
from lib.output_folder import SETTINGS, OutputFolder
from lib.progress import say
from lib.tiny import truth
from lib.training import policy

METHODS = ("lora", "merged_16bit", "merged_4bit", "gguf")
CONVERTER = "convert_hf_to_gguf.py"
# The share of tokens on which a merge must agree with what was trained. 4-bit: report agreement
# only; no threshold is established.
LEAST_AGREEMENT = {"merged_16bit": 0.99, "merged_4bit": 0.0}
QUESTIONS = 32
ANSWER_TOKENS = 64

CARD = """# {name}

{manner} of `{model}`, exported as {method} by Tiding.

## How it was trained

{settings}

## Does the export say what the training left?

{proof}
"""


@dataclass(frozen=True)
class Answers:
    """Answers to read, as token ids: each chat up to its answer, and the answer."""

    chats: list[list[int]]
    texts: list[list[int]]


def answer_greedily(model, tokenizer) -> Answers:
    """The model's own greedy answers to fresh questions, which every side then reads."""
    import torch

    chats, texts = [], []
    for question in truth.fresh_questions(QUESTIONS):
        chats.append(chat.encode(tokenizer, chat.render(tokenizer, user_turn(question))))
    with torch.inference_mode():
        for prompt in chats:
            token_ids = torch.tensor([prompt], device=model.device)
            generated = model.generate(
                input_ids=token_ids,
                attention_mask=torch.ones_like(token_ids),
                do_sample=False,
                max_new_tokens=ANSWER_TOKENS,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            )
            texts.append(generated[0, len(prompt) :].tolist())
    return Answers(chats, texts)


def logits_of(model, answers: Answers) -> list:
    """The logits with which the model reads each answer: [answer's tokens, vocabulary], in fp32."""
    import torch

    logits = []
    with torch.inference_mode():
        for prompt, answer in zip(answers.chats, answers.texts, strict=True):
            token_ids = torch.tensor([prompt + answer], device=model.device)
            of_all = model(input_ids=token_ids).logits[0]
            first = len(prompt) - 1  # the logits at a token are for its successor
            logits.append(of_all[first : first + len(answer)].float().cpu())
    return logits


def agreement(trained: list, exported: list) -> dict:
    """How alike two models' logits on the same answers are.

    Their largest difference, and the share of tokens with the same argmax.
    """
    import torch

    same = total = 0
    differences = []
    for ours, theirs in zip(trained, exported, strict=True):
        same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        total += len(ours)
        differences.append(float(torch.max(torch.abs(ours - theirs))))
    return {
        "largest_logit_difference": round(max(differences), 6),
        "token_agreement": round(same / total, 6),
        "tokens": total,
    }


def load_in_fp32(path: str):
    """A model for evaluation."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def load_in_4bit(path: str):
    """A model for evaluation, quantised as it is loaded."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    return AutoModelForCausalLM.from_pretrained(path, quantization_config=config).eval()


def load_with_adapter(model: models.Model):
    """The model with its adapter beside it, in fp32; UserError if its merge would be the base."""
    from peft import PeftModel

    whole = PeftModel.from_pretrained(load_in_fp32(model.path), model.adapter).eval()
    for name, weights in whole.named_parameters():
        if "lora_B" in name and float(weights.abs().max()) > 0:
            return whole
    what = "every B matrix of the adapter is zero, its merge would be"
    raise UserError(f"{model.adapter}: {what} {Path(model.path).name} again")


def export(model: models.Model, method: str, whole: Path, half: Path) -> dict:
    """Write weights and tokenizer into `whole`; returns the proof, if anything was changed.

    `half` is a folder for 16-bit weights that are converted further. UserError if the export does
    not say what the trained model says.
    """
    import torch

    as_trained = method == "lora" or (method == "merged_16bit" and not model.adapter)
    if as_trained:
        records = shutil.ignore_patterns("settings.json", "*.jsonl", "README.md")
        shutil.copytree(model.adapter or model.path, whole, dirs_exist_ok=True, ignore=records)
        return {}
    tokenizer = chat.load_tokenizer(model.path)
    trained = load_with_adapter(model) if model.adapter else load_in_fp32(model.path)
    answers = answer_greedily(trained, tokenizer)
    before = logits_of(trained, answers)
    if model.adapter:
        trained = trained.merge_and_unload()
    target = whole if method == "merged_16bit" else half
    trained.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    del trained
    if method == "gguf":
        gguf = whole / f"{model.name}.gguf"
        subprocess.run([CONVERTER, str(half), "--outfile", str(gguf)], check=True)
        return {}
    if method == "merged_4bit":
        exported = load_in_4bit(str(half))
        exported.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
    else:
        exported = load_in_fp32(str(whole))
    proof = agreement(before, logits_of(exported, answers))
    if proof["token_agreement"] < LEAST_AGREEMENT[method]:
        share = f"{proof['token_agreement']:.1%} of {proof['tokens']} tokens"
        least = f"expected at least {LEAST_AGREEMENT[method]:.0%}"
        what = f"they agree on {share}, {least}"
        raise UserError(f"the merged model is not the trained one: {what}")
    return proof


def card(model: models.Model, method: str, proof: dict) -> str:
    """README.md of the export, from the training's settings and the proof."""
    trained = Path(model.adapter or model.path)
    settings = rows.read_object(trained / SETTINGS) or {}
    table = ["| setting | value |", "| --- | --- |"]
    table += [f"| {name} | {value} |" for name, value in settings.items()]
    facts = [f"- {name.replace('_', ' ')}: {value}" for name, value in proof.items()]
    if model.adapter:
        manner, base = "A LoRA adapter", Path(model.path).name
    else:
        manner, base = "A full fine-tuning", settings.get("model", "its base")
    return CARD.format(
        name=trained.name,
        manner=manner,
        method=method,
        model=base,
        settings="\n".join(table) if settings else "Nothing is recorded beside the weights.",
        proof="\n".join(facts) or "The weights are the training's own files.",
    )


def upload(save_path: str, repository: str) -> None:
    from huggingface_hub import HfApi

    hub = HfApi()
    hub.create_repo(repository, exist_ok=True)
    hub.upload_folder(repo_id=repository, folder_path=save_path)
    say(f"uploaded to {repository}")


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
    settings = {"model": models.identity(model), "method": method}
    folder = OutputFolder(save_path, "export_model", settings, overwrite)
    if folder.announce(f"{model.name} as {method}"):
        return
    policy.begin()
    folder.open()
    proof = {}

    def write(whole: Path) -> None:
        proof.update(export(model, method, whole, folder.part / "half"))
        rows.write_json(whole / "merge_proof.json", proof)
        rows.write_whole(whole / "README.md", card(model, method, proof).encode())

    folder.finish(write)
    figures = ""
    if proof:
        share = f"token agreement {proof['token_agreement']:.2%} over {proof['tokens']:,} tokens"
        figures = f"{share}, largest logit difference {proof['largest_logit_difference']:.4f}"
    folder.done(figures)
    if push_to_hub:
        upload(save_path, push_to_hub)


if __name__ == "__main__":
    cli.run(main)
