"""Making the embedded models: a few thousand tokens from nothing to both folders, and what is shipped."""

import json
import random
import re

import pytest

import make_tiny
from conftest import TINY, TINY_RM, release_locks, stage
from lib.output_folder import OutputFolder
from lib.tiny import optimizer, problems, recipe

SMALL = ("--tokens", 8000, "--dev_problems", 2, "--fresh_problems", 6)
ONE_CORE = {"OMP_NUM_THREADS": "1"}  # two threads beside other work are slower than one
CHAT = [
    {"role": "system", "content": "You are a math tutor for number theory."},
    {"role": "user", "content": "Find 25 mod 7."},
    {"role": "assistant", "content": r"7 * 3 = 21. 25 - 21 = 4. The answer is \boxed{4}."},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A policy of 8,000 tokens and its reward model, by the real commands."""
    folder = tmp_path_factory.mktemp("made")
    policy, reward_model = folder / "tiny", folder / "tiny-rm"
    for flags in (("--save_path", policy, *SMALL),
                  ("--policy_path", policy, "--save_path", reward_model, "--sampled_problems", 6, "--epochs", 1, "--fresh_problems", 6)):  # fmt: skip
        result = stage("make_tiny", *flags, env=ONE_CORE)
        assert result.returncode == 0, result.stderr
        assert "make_tiny: wrote " in result.stderr
    return policy, reward_model


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY)


def folders_are_whole(policy, reward_model):
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    for folder in (policy, reward_model):
        assert sum(f.stat().st_size for f in folder.iterdir()) < 5_000_000
        assert all(f.stat().st_mode & 0o044 == 0o044 for f in folder.iterdir())
        tokens = AutoTokenizer.from_pretrained(folder)
        assert (tokens.pad_token, tokens.eos_token) == ("<|endoftext|>", "<|im_end|>")
        assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(policy)
    assert model.num_parameters() < 2_300_000
    assert model.generation_config.eos_token_id == [tokens.eos_token_id, tokens.pad_token_id]
    assert model.generation_config.pad_token_id == tokens.pad_token_id
    scorer = AutoModelForSequenceClassification.from_pretrained(reward_model)
    assert scorer.config.num_labels == 1 and scorer.config.pad_token_id == tokens.pad_token_id
    assert scorer(**tokens(["a", "a b c"], return_tensors="pt", padding=True)).logits.shape == (
        2,
        1,
    )


def cards_have_their_figures(policy, reward_model):
    figures = r"(?:\d\.\d{3}(?: ± \d\.\d{3})? \| ?)"
    card = (policy / "README.md").read_text()
    assert len(re.findall(rf"^\| {figures}{{6}}$", card, re.M)) == 1
    assert all(
        re.search(rf"^\| {domain} \| {figures}{{4}}$", card, re.M) for domain in problems.DOMAINS
    )
    assert re.search(r"[\d,]+ tokens from random weights", card)
    assert (
        len(re.findall(rf"^\| {figures}{{4}}$", (reward_model / "README.md").read_text(), re.M))
        == 1
    )


def test_a_small_run_makes_both_folders_whole(made):
    folders_are_whole(*made)
    cards_have_their_figures(*made)
    assert sorted(f.name for f in made[0].parent.iterdir()) == [
        "tiny",
        "tiny-rm",
    ]  # nothing of the work is left


def test_a_finished_model_is_not_made_again(made):
    before = (made[0] / "model.safetensors").stat()
    result = stage("make_tiny", "--save_path", made[0], *SMALL)
    assert result.returncode == 0 and "is finished; nothing to do" in result.stderr
    assert (made[0] / "model.safetensors").stat() == before


def test_the_shipped_folders_are_whole_and_their_cards_have_figures():
    folders_are_whole(TINY, TINY_RM)
    cards_have_their_figures(TINY, TINY_RM)


def test_the_shipped_policy_does_what_the_project_needs():
    """Answers above chance, worked ones mostly right, and room for GRPO; figures as the card states them."""
    card = (TINY / "README.md").read_text()
    row = re.search(r"^\| (\d\.\d{3}) ± (\d\.\d{3}) \| (.*) \|$", card, re.M)
    greedy, (sampled, pass_at_8, share, worked, direct) = (
        float(row[1]),
        map(float, row[3].split(" | ")),
    )
    assert 0.3 < greedy < 0.75 and 0.3 < sampled < 0.75
    assert pass_at_8 > 0.9 and worked > 0.85 and direct < 0.4 and 0.35 < share < 0.75
    for domain in problems.DOMAINS:
        well_posed, repeats = map(
            float, re.search(rf"^\| {domain} \| (\S+) \| (\S+) \|", card, re.M).groups()
        )
        assert well_posed >= 0.9 and repeats <= 0.1


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, monkeypatch, tokenizer):
    import torch

    monkeypatch.setattr(recipe, "make_tokenizer", lambda seed: tokenizer)
    monkeypatch.setattr(make_tiny, "BLOCK", 20)
    monkeypatch.setattr(make_tiny, "SAVE_EVERY", 1000)
    monkeypatch.setattr(optimizer, "BATCH_TOKENS", 512)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole, steps = optimizer.weighted_loss, []

    def counted(*batch):
        steps.append(0)
        return whole(*batch)

    def killed(*batch):
        if not countdown:
            raise KeyboardInterrupt
        countdown.pop()
        return whole(*batch)

    monkeypatch.setattr(optimizer, "weighted_loss", counted)
    plan = make_tiny.Plan(tokens=8000, dev_problems=1, fresh_problems=3)

    def train(name):
        make_tiny.train_policy(OutputFolder(tmp_path / name, "make_tiny", {"seed": 0}), plan)

    train("straight")
    countdown = [0] * (len(steps) * 2 // 3)
    monkeypatch.setattr(optimizer, "weighted_loss", killed)
    with pytest.raises(KeyboardInterrupt):
        train("killed")
    release_locks(tmp_path)
    assert not (tmp_path / "killed").exists()
    monkeypatch.setattr(optimizer, "weighted_loss", whole)
    train("killed")
    torch.set_num_threads(threads)
    weights = [
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "killed")
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("flag, value, says", [("--seed", 2, "seed 1, now 2"),
                                               ("--tokens", 9, "tokens 8, now 9")])  # fmt: skip
def test_a_run_begun_with_other_settings_is_refused(flag, value, says, tmp_path):
    begun = {"seed": 1, "fresh_problems": 600, "tokens": 8, "dev_problems": 300}
    (tmp_path / "x.part").mkdir()
    (tmp_path / "x.part/settings.json").write_text(json.dumps(begun))
    flags = {"--seed": 1, "--tokens": 8} | {flag: value}
    words = [word for pair in flags.items() for word in pair]
    result = stage("make_tiny", "--save_path", tmp_path / "x", *words, env=ONE_CORE)
    assert result.returncode == 2
    assert f"x.part was made with {says}; use another --save_path" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("with_system", [True, False])
def test_the_templates_text_is_the_training_text(tokenizer, with_system):
    problem = problems.parse(CHAT[1]["content"])
    domain = problem.domain if with_system else None
    messages = CHAT[not with_system :]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == recipe.after_answer(
        problem.question, problem.worked, domain
    )
    asked = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    assert asked == recipe.before_answer(problem.question, domain)
    texts = {
        "".join(text for text, _ in recipe.chat(problem, random.Random(i), 0.5)) for i in range(30)
    }
    assert recipe.after_answer(problem.question, problem.worked, domain) in texts


def test_the_template_marks_what_the_assistant_says(tokenizer):
    out = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
    said = [i for i, mark in zip(out["input_ids"], out["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(said) == CHAT[2]["content"] + "<|im_end|>"


def test_the_tokenizer_splits_digits_and_gives_back_every_text(tokenizer):
    made = problems.training(300, seed=2)
    for text in [p.question + "\n" + p.worked for p in made] + [
        "π ≈ 3.14\t<SOLUTION>12</SOLUTION> 设 x"
    ]:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert all(len(re.findall("[0-9]", tokenizer.decode(i))) <= 1 for i in ids)
    assert len(tokenizer) == recipe.VOCABULARY_SIZE


@pytest.mark.parametrize("folder", [TINY, TINY_RM], ids=lambda f: f.name)
def test_the_shipped_tokens_are_those_of_the_training_however_they_are_loaded(folder):
    """transformers 5 gives a Qwen2 folder's tokenizer Qwen2's own way to split text, whatever the file says: once a third of
    the worked answers went wrong by that."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    trained, auto = recipe.make_tokenizer(0), AutoTokenizer.from_pretrained(folder)
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for document in recipe.documents(400, "a test", 0.2, 0.5):
        text = "".join(piece for piece, _ in document)
        assert trained.encode(text) == auto.encode(text) == raw.encode(text).ids
    assert all(len(auto.encode(text)) == 1 for text in recipe.JOINED_TOKENS)


def test_no_training_text_holds_a_held_out_question():
    for document in recipe.documents(600, "a test", 0.2, 0.5):
        text = "".join(piece for piece, _ in document)
        if asked := re.search(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", text):
            assert problems.parse(asked[1]) and not problems.is_held_out(asked[1])


def test_batches_keep_every_token_once_and_weigh_what_was_said(tokenizer):
    documents = recipe.documents(100, "a test", 0.2, 0.5)
    wanted = sorted(tokenizer.encode("".join(text for text, _ in d)) for d in documents)
    found = []
    for ids, weights in optimizer.batches(tokenizer, documents, random.Random(0)):
        assert ids.numel() <= optimizer.BATCH_TOKENS
        assert {round(weight, 3) for weight in weights.flatten().tolist()} <= {
            0.0,
            0.1,
            0.3,
            0.5,
            1.0,
        }
        for row in ids.tolist():
            body = row[
                : len(row) - next(i for i, t in enumerate(row[::-1]) if t != tokenizer.pad_token_id)
            ]
            found.append(body)
    strip = [w[: len(w) - (w[-1] == tokenizer.pad_token_id)] for w in wanted]
    assert sorted(found) == sorted(strip)


def test_both_manners_are_trained_in_the_stated_shares():
    rng = random.Random(0)
    made = problems.training(3000, seed=4)
    direct = [recipe.chat(p, rng, 0.5)[1][0].startswith("The answer") for p in made]
    assert 0.42 < sum(direct) / len(direct) < 0.48


def test_a_folder_made_with_other_settings_is_refused_before_anything_is_trained():
    same = stage("make_tiny", "--policy_path", TINY, "--save_path", TINY_RM)
    assert same.returncode == 0 and "nothing to do" in same.stderr, same.stderr
    other = stage("make_tiny", "--save_path", TINY, "--tokens", 5)
    assert (
        other.returncode == 2
        and "was made with tokens 21000000, now 5; use another --save_path or --overwrite"
        in other.stderr
    )
