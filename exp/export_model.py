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

    prompts: list[list[int]]
    responses: list[list[int]]


def answer_greedily(model, tokenizer) -> Answers:
    """The model's own greedy answers to fresh questions, which every side then reads."""
    import torch

    prompts, responses = [], []
    with torch.inference_mode():
        for question in truth.fresh_questions(QUESTIONS):
            prompt_text = chat.render(tokenizer, user_turn(question))
            prompt = chat.encode(tokenizer, prompt_text)
            token_ids = torch.tensor([prompt], device=model.device)
            generated = model.generate(
                input_ids=token_ids,
                attention_mask=torch.ones_like(token_ids),
                do_sample=False,
                max_new_tokens=ANSWER_TOKENS,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            )
            response = generated[0, len(prompt) :]
            prompts.append(prompt)
            responses.append(response.tolist())
    return Answers(prompts, responses)


def logits_of(model, answers: Answers) -> list:
    """The logits with which the model reads each answer: [answer's tokens, vocabulary], in fp32."""
    import torch

    response_logits = []
    with torch.inference_mode():
        for prompt, response in zip(answers.prompts, answers.responses, strict=True):
            token_ids = torch.tensor([prompt + response], device=model.device)
            chat_logits = model(input_ids=token_ids).logits[0]
            start = len(prompt) - 1  # the logits at a token are for its successor
            end = start + len(response)
            response_logits.append(chat_logits[start:end].float().cpu())
    return response_logits


def agreement(trained_logits: list, exported_logits: list) -> dict:
    """How alike the logits of the trained model and of its export are, on the same answers.

    Each list has a tensor [tokens, vocabulary] for each answer. Returned are their largest
    difference, and the share of tokens with the same argmax.
    """
    import torch

    agreed_tokens = 0
    tokens = 0
    differences = []
    for trained, exported in zip(trained_logits, exported_logits, strict=True):
        agrees = trained.argmax(-1) == exported.argmax(-1)
        agreed_tokens += int(agrees.sum())
        tokens += len(trained)
        largest = torch.max(torch.abs(trained - exported))
        differences.append(float(largest))
    return {
        "largest_logit_difference": round(max(differences), 6),
        "token_agreement": round(agreed_tokens / tokens, 6),
        "tokens": tokens,
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

    base = load_in_fp32(model.path)
    with_adapter = PeftModel.from_pretrained(base, model.adapter).eval()
    for parameter_name, weights in with_adapter.named_parameters():
        if "lora_B" in parameter_name and float(weights.abs().max()) > 0:
            return with_adapter
    base_name = Path(model.path).name
    problem = "every B matrix of the adapter is zero, its merge would be"
    raise UserError(f"{model.adapter}: {problem} {base_name} again")


def export(model: models.Model, method: str, target: Path, merged: Path) -> dict:
    """Write weights and tokenizer into `target`; returns the proof, if anything was changed.

    `merged` is a folder for 16-bit weights that are converted further. UserError if the export does
    not say what the trained model says.
    """
    import torch

    as_trained = method == "lora" or (method == "merged_16bit" and not model.adapter)
    if as_trained:
        records = shutil.ignore_patterns("settings.json", "*.jsonl", "README.md")
        trained_path = model.adapter or model.path
        shutil.copytree(trained_path, target, dirs_exist_ok=True, ignore=records)
        return {}
    tokenizer = chat.load_tokenizer(model.path)
    trained = load_with_adapter(model) if model.adapter else load_in_fp32(model.path)
    answers = answer_greedily(trained, tokenizer)
    trained_logits = logits_of(trained, answers)
    if model.adapter:
        trained = trained.merge_and_unload()
    if method == "merged_16bit":
        merged = target
    trained.to(torch.bfloat16).save_pretrained(merged)
    tokenizer.save_pretrained(merged)
    del trained
    if method == "gguf":
        gguf_path = target / f"{model.name}.gguf"
        subprocess.run([CONVERTER, str(merged), "--outfile", str(gguf_path)], check=True)
        return {}
    if method == "merged_4bit":
        exported = load_in_4bit(str(merged))
        exported.save_pretrained(target)
        tokenizer.save_pretrained(target)
    else:
        exported = load_in_fp32(str(target))
    exported_logits = logits_of(exported, answers)
    proof = agreement(trained_logits, exported_logits)
    least = LEAST_AGREEMENT[method]
    if proof["token_agreement"] < least:
        share = f"{proof['token_agreement']:.1%} of {proof['tokens']} tokens"
        comparison = f"they agree on {share}, expected at least {least:.0%}"
        raise UserError(f"the merged model is not the trained one: {comparison}")
    return proof


def card(model: models.Model, method: str, proof: dict) -> str:
    """README.md of the export, from the training's settings and the proof."""
    trained_folder = Path(model.adapter or model.path)
    settings = rows.read_object(trained_folder / SETTINGS) or {}
    settings_text = "Nothing is recorded beside the weights."
    if settings:
        settings_text = settings_table(settings)
    if model.adapter:
        manner = "A LoRA adapter"
        base_name = Path(model.path).name
    else:
        manner = "A full fine-tuning"
        base_name = settings.get("model", "its base")
    proof_text = "The weights are the training's own files."
    if proof:
        proof_text = proof_list(proof)
    return CARD.format(
        name=trained_folder.name,
        manner=manner,
        method=method,
        model=base_name,
        settings=settings_text,
        proof=proof_text,
    )


def settings_table(settings: dict) -> str:
    """The training's settings as a Markdown table."""
    lines = ["| setting | value |", "| --- | --- |"]
    for setting, value in settings.items():
        lines.append(f"| {setting} | {value} |")
    return "\n".join(lines)


def proof_list(proof: dict) -> str:
    """The figures of the proof as a Markdown list: `- token agreement: 0.998`."""
    lines = []
    for figure, value in proof.items():
        label = figure.replace("_", " ")
        lines.append(f"- {label}: {value}")
    return "\n".join(lines)


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

    def write(target: Path) -> None:
        proof.update(export(model, method, target, merged=folder.part / "half"))
        rows.write_json(target / "merge_proof.json", proof)
        readme = card(model, method, proof)
        rows.write_whole(target / "README.md", readme.encode())

    folder.finish(write)
    figures = ""
    if proof:
        agreed = f"token agreement {proof['token_agreement']:.2%} over {proof['tokens']:,} tokens"
        difference = f"largest logit difference {proof['largest_logit_difference']:.4f}"
        figures = f"{agreed}, {difference}"
    folder.done(figures)
    if push_to_hub:
        upload(save_path, push_to_hub)


if __name__ == "__main__":
    cli.run(main)
