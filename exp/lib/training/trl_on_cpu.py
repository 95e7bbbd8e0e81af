"""Plain TRL on a CPU: its loss wants a Triton kernel, which is for GPUs alone; this is the same loss in plain PyTorch.

unsloth brings a stand-in of its own. This one is for `--backend hf`, the yardstick that runs without unsloth.
"""


class LogProbs:
    """Takes the place of TRL 1.15's `_ChunkedLogProbFunction`: all logits at once, gradients by autograd."""

    @staticmethod
    def apply(
        hidden, weight, bias, targets, temperature, chunk_size, softcap=None, scale=1.0, outputs=()
    ):
        """(log-probabilities of `targets`, entropy, log of the sum of squared probabilities, mean logit, whether top 1), each
        [N] or None where it is not in `outputs`; `hidden` [N, H], `weight` [V, H], `targets` [N]."""
        import torch
        from torch.nn import functional as F

        logits = F.linear(hidden, weight, bias).float() * scale
        logits = (softcap * torch.tanh(logits / softcap) if softcap else logits) / temperature
        log_probs = logits.log_softmax(-1)
        seen = log_probs.detach()
        extra = {
            "entropy": lambda: -(log_probs.exp() * log_probs).sum(-1),
            "log_sum_sq_probs": lambda: (2 * seen).logsumexp(-1),
            "mean_logits": lambda: logits.detach().mean(-1),
            "is_top1": lambda: seen.argmax(-1) == targets,
        }
        return log_probs.gather(-1, targets[:, None])[:, 0], *(
            make() if name in outputs else None for name, make in extra.items()
        )


def stand_in() -> None:
    """Give TRL the loss above where it has no kernel for this machine."""
    import torch
    from trl.trainer import utils

    if not torch.cuda.is_available():
        utils._ChunkedLogProbFunction = LogProbs
