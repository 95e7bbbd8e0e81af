"""The backbones of reward models, as vLLM loads them: the checkpoint without its head."""

from collections.abc import Iterable

import torch
from vllm.model_executor.models.adapters import as_embedding_model
from vllm.model_executor.models.llama import LlamaForCausalLM


class LlamaBackbone(as_embedding_model(LlamaForCausalLM)):
    """A Llama that returns hidden states and leaves every other tensor of its checkpoint unread."""

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        return super().load_weights(
            (name, tensor) for name, tensor in weights if name.startswith("model.")
        )
