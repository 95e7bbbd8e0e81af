"""Plain TRL on a CPU: its loss wants a Triton kernel, which only GPUs run; here is the same loss.

It is written in plain PyTorch. unsloth brings a stand-in of its own; this one is for
`--backend hf`, the yardstick that runs without unsloth.
"""


class LogProbs:
    """Takes the place of TRL 1.15's `_ChunkedLogProbFunction`.

    It computes all logits at once, and autograd their gradients.
    """

    @staticmethod
    def apply(
        hidden, weight, bias, targets, temperature, chunk_size, softcap=None, scale=1.0, outputs=()
    ):
        """Five figures of each token, [N] each, or None for one that is not in `outputs`.

        They are the log-probability of `targets`, the entropy, the log of the sum of squared
        probabilities, the mean logit, and whether the target is the likeliest token. `hidden` is
        [N, H], `weight` [V, H], `targets` [N].
        """
        import torch
        from torch.nn import functional

        logits = functional.linear(hidden, weight, bias).float()
        logits = logits * scale
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        logits = logits / temperature
        log_probs = logits.log_softmax(-1)
        target_columns = targets[:, None]
        target_log_probs = log_probs.gather(-1, target_columns)[:, 0]
        without_gradient = log_probs.detach()
        entropy = None
        log_sum_squares = None
        mean_logits = None
        is_top1 = None
        if "entropy" in outputs:
            probabilities = log_probs.exp()
            entropy = -(probabilities * log_probs).sum(-1)
        if "log_sum_sq_probs" in outputs:
            log_sum_squares = (2 * without_gradient).logsumexp(-1)
        if "mean_logits" in outputs:
            mean_logits = logits.detach().mean(-1)
        if "is_top1" in outputs:
            likeliest = without_gradient.argmax(-1)
            is_top1 = likeliest == targets
        return target_log_probs, entropy, log_sum_squares, mean_logits, is_top1


def stand_in() -> None:
    """Give TRL the loss above if it has no kernel for this machine."""
    import torch
    from trl.trainer import utils

    if not torch.cuda.is_available():
        utils._ChunkedLogProbFunction = LogProbs
