"""Small models in the shape of real families: their config, tokenizer and chat template, no training.

The tokenizer is Qwen2's with Llama 3's special tokens, the template Llama 3.2's, both real. Weights
are random, or written by hand where a model has to say something that the stages can use.
"""

import json
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


def _llama_config(tokenizer, **config):
    from transformers import LlamaConfig

    facts = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return LlamaConfig(**facts, **config)
