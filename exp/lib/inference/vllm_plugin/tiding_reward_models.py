"""Tells vLLM which model runs the backbone of a reward model whose head this project computes.

vLLM finds it as a plugin (`vllm.general_plugins`) in each of its processes, because the folder is
on their PYTHONPATH: lib.inference.reward_heads puts it there. It imports nothing of the project,
and nothing heavy before vLLM asks for the class.
"""

# By the architecture that config.json names; each has its head in lib.inference.reward_heads.
BACKBONES = {
    "LlamaForRewardModelWithGating": "tiding_backbones:LlamaBackbone",
    "INFORMForSequenceClassification": "tiding_backbones:LlamaBackbone",
}


def register() -> None:
    from vllm import ModelRegistry

    for architecture, backbone in BACKBONES.items():
        ModelRegistry.register_model(architecture, backbone)
