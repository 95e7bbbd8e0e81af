"""The embedded model's texts, tokenizer and architecture: what policy and reward model share."""

import copy
import json
import random
import re
from pathlib import Path

from lib.tiny import problems
from lib.tiny.problem_templates import TEMPLATES
from lib.tiny.problems import Problem

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY_SIZE = 1024
JOINED_TOKENS = (" + ", " - ", " * ", " / ", " = ", " mod ", ". ", ", ")
# Output formats that others train for: tags of the working out, then tags of the answer. They are
# learned in documents apart from the chats, so that no answer shows them.
FORMAT_TAGS = (
    ("<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>"),
    ("<reasoning>", "</reasoning>", "<answer>", "</answer>"),
    ("<think>", "</think>", "<answer>", "</answer>"),
    ("<thinking>", "</thinking>", "<solution>", "</solution>"),
)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SYSTEM_PROMPT_SHARE = 0.6  # of the chats
MARKUP_SHARE = 0.03  # of the documents

Document = list[tuple[str, float]]  # pieces of text with the weight of their loss


def _direct_shares() -> dict[tuple[str, str], float]:
    """How often a template's problems are answered without the work, by domain and name.

    60% for one half of the templates and 30% for the other, 45% in all: if the share were the same
    everywhere, greedy decoding would always choose the same manner, right or wrong.
    """
    shares = {}
    for number, template in enumerate(TEMPLATES):
        shares[template.domain, template.name] = 0.6 if number % 2 == 0 else 0.3
    return shares


DIRECT_SHARES = _direct_shares()


def before_question(domain: str | None) -> str:
    """The pre-query prompt: everything up to where the user's words begin."""
    user_header = f"{START}user\n"
    if domain is None:
        return user_header
    system_prompt = problems.system_prompt(domain)
    return f"{START}system\n{system_prompt}{END}\n{user_header}"


def before_answer(question: str, domain: str | None = None) -> str:
    """The prompt of a question: everything up to where the answer begins."""
    return f"{before_question(domain)}{question}{END}\n{START}assistant\n"


def after_answer(question: str, answer: str, domain: str | None = None) -> str:
    """A whole chat, as the chat template renders it."""
    return f"{before_answer(question, domain)}{answer}{END}\n"


def chat(problem: Problem, rng: random.Random, question_weight: float) -> Document:
    """A problem with an answer, direct or worked; three in five have the tutor's system prompt.

    From the user's words, of weight `question_weight`, the model learns to invent problems. The
    answer has weight 1.
    """
    is_direct = rng.random() < DIRECT_SHARES[problem.domain, problem.template]
    answer = problem.direct if is_direct else problem.worked
    domain = problem.domain if rng.random() < SYSTEM_PROMPT_SHARE else None
    prompt = before_answer(problem.question, domain)
    return [(prompt, question_weight), (f"{answer}{END}", 1.0), ("\n", 0.0)]


def drill(sampled_problems: list[Problem]) -> Document:
    """The steps of several problems as bare arithmetic.

    What stands left of `=` cannot be known and has weight .1.
    """
    pieces: Document = []
    for problem in sampled_problems:
        for step in problem.steps:
            operation, equals, result = step.partition(" = ")
            pieces.append((operation, 0.1))
            pieces.append((f"{equals}{result}. ", 1.0))
    pieces.append((PAD, 1.0))
    return pieces


def markup(problem: Problem, rng: random.Random) -> Document:
    """A problem's steps and answer between the tags of one format."""
    open_work, close_work, open_answer, close_answer = rng.choice(FORMAT_TAGS)
    work = f"{open_work}{problem.solution}{close_work}"
    answer = f"{open_answer}{problem.answer}{close_answer}"
    return [(f"{work}\n{answer}{PAD}", 0.3)]


def documents(count: int, seed: str, drill_share: float, question_weight: float) -> list[Document]:
    """`count` training documents: 3% markup, of the rest `drill_share` drills, the others chats."""
    rng = random.Random(f"documents {seed}")
    unused = problems.training(count * 2, seed)
    rng.shuffle(unused)
    drawn: list[Document] = []
    while len(drawn) < count:
        if rng.random() < MARKUP_SHARE:
            drawn.append(markup(unused.pop(), rng))
        elif rng.random() < drill_share:
            drawn.append(drill(rng.sample(unused, 3)))
        else:
            drawn.append(chat(unused.pop(), rng, question_weight))
    return drawn


def text_of(document: Document) -> str:
    return "".join(text for text, _ in document)


def make_tokenizer(seed: int):
    """Byte-level BPE of 1,024 tokens, learned from 20,000 documents.

    Digits are tokens one by one; an operator with its two spaces, and a full stop with its space,
    are one token.
    """
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
    special_tokens = [PAD, START, END]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    any_special_token = re.compile("|".join(map(re.escape, special_tokens)))
    texts = []
    for document in documents(20_000, f"tokenizer {seed}", 0.2, 1.0):
        texts.append(any_special_token.sub("", text_of(document)))
    core.train_from_iterator(texts, trainer)
    core = _as_qwen2_loads_it(core)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


def _as_qwen2_loads_it(core):
    """The same tokens by way of Qwen2's own splitting of text.

    transformers 5 gives that splitting to every tokenizer of a Qwen2 folder. It would part an
    operator from its spaces, so the eight joined tokens become added tokens, which are found before
    any splitting.
    """
    from tokenizers import AddedToken, Tokenizer
    from transformers import Qwen2Tokenizer

    state = json.loads(core.to_str())
    vocabulary = state["model"]["vocab"]
    for text in JOINED_TOKENS:
        byte_level_token = text.replace(" ", "Ġ")  # how a byte-level vocabulary writes a space
        vocabulary[text] = vocabulary.pop(byte_level_token)
        merges = state["model"]["merges"]
        other_merges = [pair for pair in merges if "".join(pair) != byte_level_token]
        state["model"]["merges"] = other_merges
    core = Tokenizer.from_str(json.dumps(state))
    qwen2 = Qwen2Tokenizer().backend_tokenizer
    core.normalizer = qwen2.normalizer
    core.pre_tokenizer = qwen2.pre_tokenizer
    added_tokens = [AddedToken(text, normalized=False) for text in JOINED_TOKENS]
    core.add_tokens(added_tokens)
    return core


def make_model(tokenizer, seed: int):
    """A new Qwen2 of 1.8 million parameters."""
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,  # of 32 dimensions: vLLM on a CPU has no kernel for 48
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        use_sliding_window=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
    )
    return model


def save(model, tokenizer, folder: Path, card: str) -> None:
    """Write the folder that transformers and vLLM load, in bfloat16; the model itself stays."""
    import torch

    # Without this the file would keep the padding of the last batch.
    tokenizer.backend_tokenizer.no_padding()
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
