"""Records are true: settings, cards and reports state what the rows were made with."""

import json
import shutil
from pathlib import Path

import pytest

import gen_ins
from conftest import TINY, TINY_RM, stage_here
from lib import models
from lib.errors import UserError
from lib.inference import backends
from lib.inference.requests import Completion, Reply, Request, Score

ASKED = ["--temperature", 1.3, "--max_tokens", 4096]  # tiny's limits are 1.0 and 128 or 256
PROBLEM = "Solve 3x + 6 = 12 for x."


class FakeEngine:
    """Answers at once and notes what it was asked; a reward model's scores rise."""

    most_in_flight = 1

    def __init__(self, requests: list[Request]):
        self.requests, self.waiting = requests, []

    @property
    def pending(self) -> int:
        return len(self.waiting)

    def submit(self, request: Request) -> None:
        self.requests.append(request)
        self.waiting.append(request)

    def poll(self) -> list[Reply]:
        request = self.waiting.pop()
        if request.sampling is None:
            scores = tuple(Score(float(place)) for place in range(len(request.prompt)))
            return [Reply(request.key, scores=scores)]
        completions = tuple(Completion(PROBLEM, "stop") for _ in range(request.samples))
        return [Reply(request.key, completions, tokens=9 * request.samples)]

    def close(self) -> None:
        pass


@pytest.fixture
def asked(monkeypatch) -> list[Request]:
    """The requests that reach a fake engine, which takes the place of vLLM."""
    requests: list[Request] = []
    monkeypatch.setattr(backends.Where, "load", lambda where, model: FakeEngine(requests))
    monkeypatch.setattr(gen_ins, "pre_query_request", lambda *given: {"prompt": [1]})
    return requests


def run(name: str, folder, *flags: object) -> str:
    result = stage_here(name, *flags, cwd=folder)
    assert not result.returncode, result.stderr
    return result.stderr


def make_run(folder) -> None:
    """The four stages of one domain, sampled above the limits of the model."""
    folder.mkdir()
    ins = ["--model_path", TINY, "--domain", "algebra", "--total_prompts", 1, *ASKED]
    run("gen_ins", folder, *ins, "--save_path", "algebra_ins.json")
    answer = ["--model_path", TINY, "--ins_data_path", "algebra_ins.json", *ASKED]
    run("gen_res", folder, *answer, "--save_path", "algebra_ins_res.json")
    run("gen_po_multi_res", folder, *answer, "--save_path", "algebra_ins_7res.json")
    score = ["--model_name_or_path", TINY_RM, "--ins_data_path", "algebra_ins_7res.json"]
    run("gen_po_rewards", folder, *score, "--save_path", "algebra_ins_7res_armorm.json")


def settings_of(path) -> dict:
    meta = json.loads(path.with_name(f"{path.name}.meta.json").read_bytes())
    return meta["settings"]


def test_settings_and_cards_state_the_sampling_that_was_applied(tmp_path, asked):
    make_run(tmp_path / "algebra")
    for name, max_tokens in (("_ins", 128), ("_ins_res", 256), ("_ins_7res", 256)):
        settings = settings_of(tmp_path / f"algebra/algebra{name}.json")
        assert (settings["temperature"], settings["max_tokens"]) == (1.0, max_tokens), name
    sampled = [request.sampling for request in asked if request.sampling]
    assert {(s.temperature, s.max_tokens) for s in sampled} == {(1.0, 128), (1.0, 256)}
    run("describe_run", tmp_path, "--run_path", ".", "--model_path", TINY)
    card = (tmp_path / "README.md").read_text()
    assert "temperature 1.0, top_p 1.0, max_tokens 128" in card
    assert "1.3" not in card and "4096" not in card
    run("report_run", tmp_path, "--run_path", ".", "--save_path", "report.html")
    report = (tmp_path / "report.html").read_text()
    assert "4096" not in report and "1.3</td>" not in report
    data = tmp_path / "algebra/algebra_ins_res.json"
    run("export_dataset", tmp_path, "--data_paths", data, "--model_path", TINY, "--save_path", "d")
    exported = (tmp_path / "d/README.md").read_text()
    assert "max_tokens 256" in exported and "4096" not in exported


@pytest.mark.parametrize(
    "flags, says",
    [
        pytest.param(ASKED, "nothing to do", id="the same flags"),
        pytest.param(["--temperature", 2, "--max_tokens", 256], "nothing to do", id="others that come to the same"),
        pytest.param(["--temperature", 0.5, *ASKED[2:]], "was made with temperature 1.0, now 0.5", id="others that make other rows"),
    ],
)  # fmt: skip
def test_a_rerun_is_compared_by_what_makes_its_rows(tmp_path, asked, flags, says):
    (tmp_path / "ins.json").write_text(json.dumps([{"instruction": PROBLEM}]))
    answer = ["--model_path", TINY, "--ins_data_path", "ins.json", "--save_path", "res.json"]
    first = run("gen_res", tmp_path, *answer, *ASKED)
    assert "lowered temperature from 1.3 to 1" in first and "max_tokens from 4096 to 256" in first
    again = stage_here("gen_res", *answer, *flags, cwd=tmp_path)
    assert says in again.stderr and len(asked) == 1


def model_folder(folder: Path) -> Path:
    """A copy of tiny with sharded weights of every format beside it, and what a trainer leaves."""
    shutil.copytree(TINY, folder)
    (folder / "vocab.txt").write_text("a b c")
    (folder / "modeling_own.py").write_text("a = 1")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates/tools.jinja").write_text("{{ messages }}")
    for name in (
        "model-00002-of-00002.safetensors",
        "pytorch_model-00001-of-00001.bin",
        "model.pt",
        "model.gguf",
    ):
        (folder / name).write_bytes(bytes(400_000))
    for name in (
        "training_args.bin",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state_0.pth",
        "trainer_state.json",
        "README.md",
    ):
        (folder / name).write_text("x")
    return folder


def change(path: Path) -> None:
    """Another text; of weights some bytes in the middle, as of another training."""
    if path.stat().st_size < 400_000 or path.suffix == ".json":
        text = path.read_text()
        path.write_text(
            text.replace("{", "{ ", 1) if path.suffix == ".jinja" else text.replace("a", "b", 1)
        )
        return
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 4)
        file.write(bytes([7]) * (path.stat().st_size // 2))


def identity_of(folder: Path) -> str:
    return models.identity(models.Model(str(folder)))


OF_THE_MODEL = (
    "chat_template.jinja", "additional_chat_templates/tools.jinja", "tokenizer.json", "tokenizer_config.json", "config.json",
    "generation_config.json", "vocab.txt", "modeling_own.py", "model.safetensors", "model-00002-of-00002.safetensors",
    "pytorch_model-00001-of-00001.bin", "model.pt", "model.gguf",
)  # fmt: skip
NOT_OF_THE_MODEL = ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "trainer_state.json", "README.md")  # fmt: skip


def test_an_identity_covers_templates_tokenizer_and_weights_of_every_format(tmp_path):
    folder = model_folder(tmp_path / "m")
    identity = identity_of(folder)
    for name in OF_THE_MODEL:
        whole = (folder / name).read_bytes()
        change(folder / name)
        assert identity_of(folder) != identity, name
        (folder / name).write_bytes(whole)
        assert identity_of(folder) == identity
    for name in NOT_OF_THE_MODEL:
        (folder / name).write_text("y")
        assert identity_of(folder) == identity, name


def test_a_model_or_adapter_is_the_same_in_another_checkout(tmp_path):
    identities = set()
    for checkout in ("one", "another/place"):
        base = tmp_path / checkout / "base"
        shutil.copytree(TINY, base)
        config = json.loads((base / "config.json").read_bytes())
        config |= {"_name_or_path": str(base), "text_config": {"_name_or_path": str(base)}}
        (base / "config.json").write_text(json.dumps(config))
        adapter = tmp_path / checkout / "lora"
        adapter.mkdir()
        adapter_config = {"base_model_name_or_path": str(base), "r": 8}
        (adapter / "adapter_config.json").write_text(json.dumps(adapter_config))
        (adapter / "adapter_model.safetensors").write_bytes(b"weights")
        identities.add(models.identity(models.find(str(base), str(adapter))))
    assert len(identities) == 1
    (adapter / "adapter_model.bin").write_bytes(b"other weights")
    assert models.identity(models.find(str(base), str(adapter))) not in identities


@pytest.mark.parametrize(
    "config, says",
    [
        pytest.param('{"r": 8', "torn or not JSON", id="torn"),
        pytest.param("[]", "expected an object, found list", id="no object"),
        pytest.param('{"peft_type": "IA3"}', "'r' is None, expected the rank", id="no rank"),
        pytest.param('{"r": "8"}', "'r' is '8', expected the rank", id="a rank that is text"),
    ],
)
def test_a_torn_adapter_is_one_line_before_a_model_loads(tmp_path, config, says):
    (tmp_path / "adapter_config.json").write_text(config)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    with pytest.raises(UserError, match=says) as e:
        models.find("tiny", str(tmp_path))
    assert "\n" not in str(e.value) and "adapter_config.json" in str(e.value)


def test_seven_samples_at_a_temperature_of_zero_are_refused_by_the_one_that_is_applied(tmp_path):
    answer = ["--model_path", TINY, "--ins_data_path", "ins.json", "--save_path", "res.json"]
    result = stage_here("gen_po_multi_res", *answer, "--temperature", 0, cwd=tmp_path)
    assert result.returncode == 2 and "--temperature 0 gives 7 times" in result.stderr
