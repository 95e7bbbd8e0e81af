"""The embedded model's texts, tokenizer and architecture: what its policy and its reward model share."""

import json
import random
import re
from collections.abc import Iterable
from pathlib import Path

from lib.tiny import problems, templates
from lib.tiny.problems import Problem

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCAB = 1024
JOINED = (" + ", " - ", " * ", " / ", " = ", " mod ", ". ", ", ")
# Direct answers for 60% of one half of the templates and 30% of the other, 45% in all: a manner that were the same everywhere
# would make greedy decoding choose it always, right or wrong.
DIRECT = {(t.domain, t.name): (0.6, 0.3)[i % 2] for i, t in enumerate(templates.TEMPLATES)}
# Output formats that others train for. Their tokens are learned on lines apart from the chats, so that no answer shows them.
TAGS = (
    ("<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>"),
    ("<reasoning>", "</reasoning>", "<answer>", "</answer>"),
    ("<think>", "</think>", "<answer>", "</answer>"),
    ("<thinking>", "</thinking>", "<solution>", "</solution>"),
)
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

Document = list[tuple[str, float]]  # pieces of text with the weight of their loss


def before_question(domain: str | None) -> str:
    """The pre-query prompt: everything up to where the user's words begin."""
    head = f"{START}system\n{problems.system_prompt(domain)}{END}\n" if domain else ""
    return f"{head}{START}user\n"


def before_answer(question: str, domain: str | None = None) -> str:
    return f"{before_question(domain)}{question}{END}\n{START}assistant\n"


def after_answer(question: str, answer: str, domain: str | None = None) -> str:
    """A whole chat, as the template renders it."""
    return f"{before_answer(question, domain)}{answer}{END}\n"


def chat(problem: Problem, rng: random.Random, asking: float) -> Document:
    """A problem with an answer in one of the two manners; three in five have the tutor's system prompt.

    `asking` is the weight of the user's words, from which inventing problems is learned; the answer has weight 1.
    """
    answer = (
        problem.direct
        if rng.random() < DIRECT[problem.domain, problem.template]
        else problem.worked
    )
    domain = problem.domain if rng.random() < 0.6 else None
    return [(before_answer(problem.question, domain), asking), (f"{answer}{END}", 1.0), ("\n", 0.0)]


def drill(some: Iterable[Problem]) -> Document:
    """The steps of several problems as bare arithmetic; what stands left of `=` cannot be known and counts .1."""
    pieces: Document = []
    for problem in some:
        for step in problem.steps:
            left, equals, right = step.partition(" = ")
            pieces += [(left, 0.1), (f"{equals}{right}. ", 1.0)]
    return [*pieces, (PAD, 1.0)]


def markup(problem: Problem, rng: random.Random) -> Document:
    """A problem's steps and answer between tags."""
    think, unthink, say, unsay = rng.choice(TAGS)
    work = " ".join(f"{step}." for step in problem.steps)
    return [(f"{think}{work}{unthink}\n{say}{problem.answer}{unsay}{PAD}", 0.3)]


def documents(count: int, seed: str, drills: float, asking: float) -> list[Document]:
    """`count` training documents: 3% markup, of the rest the share `drills` is drills, the others chats."""
    rng = random.Random(f"documents {seed}")
    pool = problems.training(count * 2, seed)
    rng.shuffle(pool)
    made: list[Document] = []
    while len(made) < count:
        if rng.random() < 0.03:
            made.append(markup(pool.pop(), rng))
        elif rng.random() < drills:
            made.append(drill(rng.sample(pool, 3)))
        else:
            made.append(chat(pool.pop(), rng, asking))
    return made


def make_tokenizer(seed: int) -> object:
    """Byte-level BPE: digits one by one; an operator with its two spaces, and a full stop with its space, are one token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    pieces = Regex(r" (?:[-+*/=]|mod) |[.,] |[0-9]| ?[A-Za-z]+| ?[^\sA-Za-z0-9]+|\s")
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pieces, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    specials = [PAD, START, END]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (
        "".join(text for text, _ in document)
        for document in documents(20_000, f"tokenizer {seed}", 0.2, 1.0)
    )
    core.train_from_iterator(
        (re.sub("|".join(map(re.escape, specials)), "", text) for text in texts), trainer
    )
    core = _as_qwen2_loads_it(core)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=PAD, padding_side="left", chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False, model_max_length=1024,
    )  # fmt: skip


def _as_qwen2_loads_it(core: object) -> object:
    """The same tokens by way of Qwen2's own way to split text, which transformers 5 gives to every tokenizer of a Qwen2 folder.

    It would part an operator from its spaces, so those eight tokens become added ones, which are found before any splitting.
    """
    from tokenizers import AddedToken, Tokenizer
    from transformers import Qwen2Tokenizer

    whole = json.loads(core.to_str())
    for text in JOINED:
        token = text.replace(" ", "Ġ")
        whole["model"]["vocab"][text] = whole["model"]["vocab"].pop(token)
        whole["model"]["merges"] = [
            pair for pair in whole["model"]["merges"] if "".join(pair) != token
        ]
    core = Tokenizer.from_str(json.dumps(whole))
    qwen2 = Qwen2Tokenizer().backend_tokenizer
    core.normalizer, core.pre_tokenizer = qwen2.normalizer, qwen2.pre_tokenizer
    core.add_tokens([AddedToken(text, normalized=False) for text in JOINED])
    return core


def make_model(tokenizer: object, seed: int) -> object:
    """A new Qwen2 of 1.8 million parameters; heads of 32, since vLLM on a CPU has no kernel for 48."""
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    stops = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    config = Qwen2Config(
        vocab_size=VOCAB, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True, use_sliding_window=False,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=stops, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    return model


def save(model: object, tokenizer: object, folder: Path, card: str) -> None:
    """The whole folder that transformers and vLLM load, in bfloat16, without touching the model in hand."""
    import copy

    import torch

    tokenizer.backend_tokenizer.no_padding()  # else the file keeps the length of the last padded batch
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
