"""Fetch the public test data that can be had as it is: `make test-data`.

in    raw.githubusercontent.com   the files in SOURCES, each of one repository at one commit
      tests/README.md             the SHA-256 of each file
out   a folder                    TIDING_TEST_DATA, or data/test_data of this project
      python3.11 tests/fetch_data.py

A file gets its name only after its SHA-256 was checked, and one that is there already is not
fetched again. The sets in ELSEWHERE were put together by hand or lie on the model hub.
"""

import hashlib
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "tests/README.md"
HOST = "https://raw.githubusercontent.com"
TIMEOUT_S = 60
GSM8K = "openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data"
AIME = "GAIR-NLP/AIME-Preview/7011a9eae7c4b78071f27b6f77f618d65608cfb0/eval/data/aime"
TEMPLATES = "ikawrakow/ik_llama.cpp/8337e4cd3861406fc04e0854b1409cd1b027fbc9/models/templates"
# An older commit, because the later one changed the template of DeepSeek-R1.
OLDER_TEMPLATES = "ikawrakow/ik_llama.cpp/d7882c3cf8d5ced5df2df4f70ba17f96f3693b63/models/templates"
ELSEWHERE = ("answer_equivalence", "judge", "model_outputs", "ocr", "tokenizers")


class Source(NamedTuple):
    """Where a file comes from: OWNER/REPOSITORY/COMMIT/path, cut after its first lines if asked."""

    address: str
    first_lines: int | None = None


SOURCES = {
    "gsm8k/train.jsonl": Source(f"{GSM8K}/train.jsonl"),
    "gsm8k/test_first400.jsonl": Source(f"{GSM8K}/test.jsonl", first_lines=400),
    "gsm8k/example_model_solutions_first300.jsonl": Source(
        f"{GSM8K}/example_model_solutions.jsonl", first_lines=300
    ),
    "aime/test2024.jsonl": Source(f"{AIME}/test2024.jsonl"),
    "aime/test2025-I.jsonl": Source(f"{AIME}/test2025-I.jsonl"),
    "aime/test2025-II.jsonl": Source(f"{AIME}/test2025-II.jsonl"),
}
for commit, name in (
    (TEMPLATES, "HuggingFaceTB-SmolLM3-3B"),
    (TEMPLATES, "NousResearch-Hermes-3-Llama-3.1-8B-tool_use"),
    (TEMPLATES, "Qwen-Qwen2.5-7B-Instruct"),
    (TEMPLATES, "Qwen3.5-4B"),
    (OLDER_TEMPLATES, "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"),
    (TEMPLATES, "google-gemma-2-2b-it"),
    (TEMPLATES, "meta-llama-Llama-3.2-3B-Instruct"),
    (TEMPLATES, "microsoft-Phi-3.5-mini-instruct"),
    (TEMPLATES, "mistralai-Mistral-Nemo-Instruct-2407"),
):
    SOURCES[f"chat_templates/{name}.jinja"] = Source(f"{commit}/{name}.jinja")


def checksums() -> dict[str, str]:
    """The SHA-256 of every file of the test data by its path, from the tables of the README."""
    row = re.compile(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|", re.MULTILINE)
    return dict(row.findall(README.read_text(encoding="utf-8")))


def fetch(source: Source, path: Path, sha256: str, host: str = HOST) -> str:
    """Fetch one file, unless it is there; returns which of the two.

    OSError if the host does not give it, ValueError if what it gives is another file.
    """
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return "is there"
    with urllib.request.urlopen(f"{host}/{source.address}", timeout=TIMEOUT_S) as response:
        content = response.read()
    if source.first_lines is not None:
        content = b"".join(content.splitlines(keepends=True)[: source.first_lines])
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{source.address} has another SHA-256 than {sha256}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
    return "fetched"


def main(host: str = HOST) -> int:
    """Fetch every file; returns the exit code, 2 if one of them could not be had."""
    folder = Path(os.environ.get("TIDING_TEST_DATA") or ROOT / "data/test_data").resolve()
    exit_code = 0
    expected = checksums()
    for name, source in SOURCES.items():
        try:
            print(f"{name}: {fetch(source, folder / name, expected[name], host)}")
        except (OSError, ValueError) as e:
            print(f"fetch_data: error: {name}: {e}", file=sys.stderr)
            exit_code = 2
    absent = [name for name in ELSEWHERE if not (folder / name).is_dir()]
    if absent:
        print(f"not to be fetched, see tests/README.md: {', '.join(absent)}")
    print(f"to use it: make test TIDING_TEST_DATA={folder}")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
