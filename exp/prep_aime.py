"""Combine AIME 2024, 2025 I and 2025 II into one file of 60 problems.

in    test2024.jsonl, test2025-I.jsonl, test2025-II.jsonl in a folder or under a URL: id, problem, answer; solution, url
out   aime.jsonl             id, global_id, source_dataset, original_id, problem, answer, solution, url
      python exp/prep_aime.py --source data/aime/raw --save_path data/aime/aime.jsonl

Without --source the three files come from the repository of GAIR-NLP/AIME-Preview. They must be whole (30, 15 and 15 problems,
each with an answer from 0 to 999), or nothing is written. `global_id` is 0 to 59, `answer` a string without leading zeros.
"""

import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from lib import cli, rows, sources
from lib.errors import UserError
from lib.output import Output
from lib.progress import say

PROBLEMS = {"test2024": 30, "test2025-I": 15, "test2025-II": 15}
# The commit read was 7011a9eae7, but this address takes no short hash; what came is in X.meta.json, by its SHA-256.
URL = "https://raw.githubusercontent.com/GAIR-NLP/AIME-Preview/main/eval/data/aime"
TIMEOUT_S = 30
LARGEST = 5_000_000  # bytes of a file; the largest of the three has 146,233
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_safe(url: str) -> bool:
    """Whether `url` is https; plain http only within this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.scheme == "http" and parts.hostname in LOOPBACK


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to a safe address."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not is_safe(newurl):
            raise UserError(
                f"{req.full_url}: led to {newurl}, and only https is downloaded; nothing is written"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str) -> bytes:
    """The whole file at `url`; UserError names it and why it did not come whole."""
    if not is_safe(url):
        raise UserError(f"{url}: only https is downloaded; nothing is written")
    try:
        with urllib.request.build_opener(SafeRedirects).open(url, timeout=TIMEOUT_S) as response:
            data, length = response.read(LARGEST + 1), response.headers.get("Content-Length")
    except urllib.error.HTTPError as e:
        raise UserError(f"{url}: {e.code} {e.reason}; nothing is written") from None
    except (OSError, http.client.HTTPException) as e:
        raise UserError(
            f"{url}: {str(getattr(e, 'reason', e)) or type(e).__name__}; nothing is written"
        ) from None
    if len(data) > LARGEST:
        raise UserError(f"{url}: larger than {LARGEST:,} bytes; nothing is written")
    if length and length != str(len(data)):
        raise UserError(
            f"{url}: torn, {len(data)} of {length} bytes came; nothing is written, run it again"
        )
    return data


def problems_of(file: str, data: bytes, count: int) -> list[dict]:
    """The rows of one `.jsonl` file, checked, as problem, answer, solution, url and original_id; UserError says FILE:LINE."""
    made = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"{file}:{number}"
        try:
            row = json.loads(line)
        except ValueError as e:
            raise UserError(
                f"{place}: torn or not JSON ({getattr(e, 'msg', 'not UTF-8')}); nothing is written"
            ) from None
        if not isinstance(row, dict):
            raise UserError(
                f"{place}: expected an object, found {type(row).__name__}; nothing is written"
            )
        for key in ("id", "problem", "answer"):
            if row.get(key) in (None, ""):
                raise UserError(
                    f"{place}: no {key!r} (has: {', '.join(row) or 'nothing'}); nothing is written"
                )
        answer = str(row["answer"]).strip()
        if not re.fullmatch("[0-9]{1,3}", answer):
            raise UserError(
                f"{place}: answer {answer!r} is no integer from 0 to 999; nothing is written"
            )
        texts = {
            "problem": row["problem"],
            "solution": row.get("solution") or "",
            "url": row.get("url") or "",
        }
        for key, text in texts.items():
            if not isinstance(text, str):
                raise UserError(
                    f"{place}: {key!r} is a {type(text).__name__}, not text; nothing is written"
                )
        made.append(texts | {"answer": str(int(answer)), "original_id": str(row["id"])})
    if len(made) != count:
        raise UserError(f"{file}: {len(made)} problems, expected {count}; nothing is written")
    return made


def main(save_path: str, source: str = URL, overwrite: bool = False):
    remote = "://" in source
    files = {name: f"{source.rstrip('/')}/{name}.jsonl" for name in PROBLEMS}
    settings = {"source": source.rstrip("/") if remote else "a folder"}
    out = Output(
        save_path, "prep_aime", settings, () if remote else tuple(files.values()), overwrite
    )
    if out.announce(f"60 problems of {source}"):
        return
    found = {
        name: download(file) if remote else Path(file).read_bytes() for name, file in files.items()
    }
    made, seen = [], {}
    for name, data in found.items():
        for row in problems_of(files[name], data, PROBLEMS[name]):
            key = rows.row_id(row["problem"])
            if key in seen:
                raise UserError(
                    f"{files[name]}: {row['original_id']} is the same problem as {seen[key]}; nothing is written"
                )
            seen[key] = f"{row['original_id']} of {name}"
            facts = {
                "id": key,
                "global_id": len(made),
                "source_dataset": name,
                "original_id": row["original_id"],
            }
            made.append(
                (facts | {k: row[k] for k in ("problem", "answer", "solution", "url")}, None)
            )
    sources.write(
        out,
        made,
        {"sha256": {n: hashlib.sha256(data).hexdigest() for n, data in found.items()}}
        if remote
        else {},
    )
    say(
        f"next: python exp/eval_aime.py --model_path tiny --test_data_path {save_path} --save_dir data/eval"
    )


if __name__ == "__main__":
    cli.run(main)
