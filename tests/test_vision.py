"""Rows with images, through the real trainer: a random LLaVA of 0.1M parameters, as its processor needs no torchvision."""

import json
from pathlib import Path

import pytest

import sft
from conftest import TINY
from lib import cli
from lib.errors import UserError
from lib.training import train_log

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{{ '<image>' if c['type'] == 'image' else c['text'] }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def llava(tmp_path_factory) -> Path:
    from transformers import (
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        Qwen2Config,
        Qwen2Tokenizer,
        set_seed,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    set_seed(0)
    folder, side = tmp_path_factory.mktemp("llava"), 64
    tokenizer = Qwen2Tokenizer.from_pretrained(TINY)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    small = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = LlavaConfig(
        text_config=Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=1, **small), vision_feature_layer=-1,
        vision_config=CLIPVisionConfig(image_size=side, patch_size=16, projection_dim=32, **small),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"))  # fmt: skip
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    LlavaProcessor(image_processor=images, tokenizer=tokenizer, patch_size=16, vision_feature_select_strategy="default",
                   chat_template=TEMPLATE, num_additional_image_tokens=1).save_pretrained(folder)  # fmt: skip
    return folder


def row(image: str, text: str) -> str:
    messages = [{"role": "user", "content": "Read it."}, {"role": "assistant", "content": text}]
    return json.dumps({"image": image, "messages": messages}) + "\n"


def here(*flags: object) -> None:
    """As `stage("sft", …)`, in this process."""
    sft.main(**cli.parse(sft.main, [str(flag) for flag in flags]))


def test_a_model_learns_from_images_by_all_its_weights_and_by_an_adapter(
    llava, test_data, tmp_path, capsys
):
    labels = map(json.loads, (test_data / "ocr/labels.jsonl").read_text().splitlines())
    lines = [
        row(str(test_data / "ocr" / r["image"]), r["text"]) for r in labels if r["kind"] == "line"
    ][:15]
    (tmp_path / "ocr.jsonl").write_text(
        "".join(lines) + row(json.loads(lines[0])["image"], "so long " * 900)
    )
    flags = ["--model_path", llava, "--data_path", tmp_path / "ocr.jsonl", "--learning_rate", 1e-2, "--epochs", 6,
             "--gradient_accumulation", 1]  # fmt: skip
    for rank, weights in ((0, "model.safetensors"), (8, "adapter_model.safetensors")):
        here(*flags, "--lora_rank", rank, "--save_path", tmp_path / f"m{rank}")
        assert "15 conversations, 1 dropped (too long)" in capsys.readouterr().err
        assert {weights, "processor_config.json", "dropped.jsonl"} <= {
            p.name for p in (tmp_path / f"m{rank}").iterdir()
        }
    losses = [step["loss"] for step in train_log.read(tmp_path / "m0")]
    assert len(losses) == 24 and losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "model, image, says",
    [
        pytest.param(
            "llava", "nowhere.png", "t.jsonl:1: .*nowhere.png: no image", id="no such file"
        ),
        pytest.param("llava", "t.jsonl", "t.jsonl:1: .*no image", id="text is no image"),
        pytest.param(
            "tiny",
            "nowhere.png",
            "tiny reads no images; .*t.jsonl:1 has one",
            id="a model without eyes",
        ),
    ],
)
def test_a_bad_image_is_one_line_before_a_model_loads(
    model, image, says, llava, tmp_path, monkeypatch
):
    (tmp_path / "t.jsonl").write_text(row(image, "HELLO"))
    with pytest.raises(UserError, match=says):
        here("--model_path", llava if model == "llava" else TINY, "--data_path", tmp_path / "t.jsonl",
             "--save_path", tmp_path / "m", "--backend", "hf")  # fmt: skip
    assert not (tmp_path / "m.part").exists()
