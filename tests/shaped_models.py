"""Small models in the shape of real families: their config, tokenizer and chat template, no training.

The tokenizer is Qwen2's with Llama 3's special tokens, the template Llama 3.2's, both real. Weights
are random, or written by hand where a model has to say something that the stages can use.
"""

import json
import math
from collections import Counter
from pathlib import Path

HEADER = ("<|start_header_id|>", "<|end_header_id|>")
SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", *HEADER, "<|eot_id|>", "<|pad|>")
TEMPLATE = "chat_templates/meta-llama-Llama-3.2-3B-Instruct.jinja"


def llama_tokenizer(test_data: Path, folder: Path):
    """A tokenizer with Llama 3's special tokens and template, saved in the folder."""
    from transformers import Qwen2Tokenizer

    source = test_data / "tokenizers/qwen2"
    tokenizer = Qwen2Tokenizer(
        vocab=str(source / "vocab.json"),
        merges=str(source / "merges.txt"),
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|pad|>",
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.chat_template = (test_data / TEMPLATE).read_text()
    tokenizer.save_pretrained(folder)
    return tokenizer


def armorm(folder: Path, test_data: Path, seed: int = 0, **config) -> Path:
    """A random model in the shape of RLHFlow/ArmoRM-Llama3-8B-v0.1, in float32.

    Its config names code of its own (auto_map), as the real one does, and that code is not there.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaModel

    torch.manual_seed(seed)
    tokenizer = llama_tokenizer(test_data, folder)
    llama = LlamaModel(_llama_config(tokenizer, **config))
    hidden, width, objectives = llama.config.hidden_size, 48, 19
    tensors = {f"model.{name}": tensor for name, tensor in llama.state_dict().items()}
    tensors["regression_layer.weight"] = torch.randn(objectives, hidden) / hidden**0.5
    tensors["reward_transform_matrix"] = torch.eye(objectives)
    tensors["reward_transform_matrix"][4] -= torch.rand(objectives)
    tensors["gating.logit_scale"] = torch.tensor([1.5])
    sizes = [hidden, width, width, width, objectives]
    for number, (wide, narrow) in enumerate(zip(sizes, sizes[1:], strict=False)):
        tensors[f"gating.layers.{number}.weight"] = torch.randn(narrow, wide) / wide**0.5
        tensors[f"gating.layers.{number}.bias"] = torch.randn(narrow)
    facts = llama.config.to_dict() | {
        "architectures": ["LlamaForRewardModelWithGating"],
        "auto_map": {
            "AutoModelForSequenceClassification": "modeling_custom.LlamaForRewardModelWithGating"
        },
        "num_objectives": objectives,
        "gating_temperature": 10,
        "gating_hidden_dim": width,
        "gating_n_hidden": 3,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(facts))
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        folder / "model.safetensors",
    )
    return folder


FRAMES = (
    "Find the smallest prime above",
    "Compute how many squares lie below",
    "Determine which angles sum to",
    "Evaluate two thirds of",
    "Calculate a triangle area with base",
    "Solve for x when doubled into",
)
NUMBERS = ("seven", "nine", "eleven", "twelve", "thirteen", "twenty", "thirty", "forty")
PROBLEMS = [f"{frame} {number}." for frame in FRAMES for number in NUMBERS]
INTRODUCTIONS = ("So", "Thus", "Hence")
# Three answers of four agree, so that votes have a majority and pairs something to reject.
ANSWERS = [f"{start} it equals \\boxed{{{n}}}." for start in INTRODUCTIONS for n in (7, 7, 7, 8)]


def llama_policy(folder: Path, test_data: Path) -> Path:
    """A Llama whose weights are written by hand, so that it poses PROBLEMS and gives ANSWERS.

    It is a table of which token follows which: each token that it knows has a place of its own in
    the hidden state (the embedding), and the output layer holds what comes after it. Both kinds of
    text begin behind the same token, so that one attention head looks back for an "assistant" and,
    where it finds one, turns on a further place, which makes answers likelier than problems.
    """
    import torch
    from transformers import LlamaForCausalLM

    tokenizer = llama_tokenizer(test_data, folder)
    config = _llama_config(tokenizer, hidden_size=128, max_position_embeddings=8192)
    llama = LlamaForCausalLM(config)
    start, end = _id(tokenizer, "\n\n"), tokenizer.eos_token_id
    assistant, bos = _id(tokenizer, "assistant"), tokenizer.bos_token_id
    following: dict[int, Counter] = {}
    firsts = []  # the first tokens of problems, and of answers
    for texts in (PROBLEMS, ANSWERS):
        firsts.append(set())
        for text in texts:
            ids = [start, *tokenizer.encode(text, add_special_tokens=False), end]
            firsts[-1].add(ids[1])
            for current, after in zip(ids, ids[1:], strict=False):
                following.setdefault(current, Counter())[after] += 1
    ALWAYS, ANSWERING = 0, 1  # places: one is on for every token, one is the head's
    places = {token: 2 + n for n, token in enumerate([assistant, bos, *following])}

    with torch.no_grad():
        for parameter in llama.parameters():
            parameter.zero_()
        for name, parameter in llama.named_parameters():
            if "norm" in name:
                parameter.fill_(1)
        llama.model.embed_tokens.weight[:, ALWAYS] = 1
        for token, place in places.items():
            llama.model.embed_tokens.weight[token, place] = 1
        size = (config.hidden_size / 2) ** 0.5  # of a 1 behind the norm, which sees two of them
        # The head's turning is slowest in the last of the first 16 of its 32 numbers: 0.04 radians
        # over 8,192 tokens. Scores: 40 for "assistant", 20 for the first token, 0 for the others.
        attention, slowest = llama.model.layers[0].self_attn, 15
        attention.q_proj.weight[slowest, ALWAYS] = 1 / size
        attention.k_proj.weight[slowest, places[assistant]] = 40 * 32**0.5 / size
        attention.k_proj.weight[slowest, places[bos]] = 20 * 32**0.5 / size
        attention.v_proj.weight[0, places[assistant]] = 1 / size
        attention.o_proj.weight[ANSWERING, 0] = 1
        logits = llama.lm_head.weight
        for current, counts in following.items():
            for after, count in counts.items():
                logits[after, places[current]] = (80 + math.log(count)) / size
        for first in firsts[1]:  # half of what a problem gets, or one and a quarter of it
            logits[first, places[start]] = 40 / size
            logits[first, ANSWERING] = 60 / size
    llama.to(torch.bfloat16).save_pretrained(folder)
    return folder


def _id(tokenizer, text: str) -> int:
    (token_id,) = tokenizer.encode(text, add_special_tokens=False)
    return token_id


def _llama_config(tokenizer, **config):
    from transformers import LlamaConfig

    facts = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return LlamaConfig(**facts | config)
