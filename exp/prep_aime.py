"""Combine AIME 2024, 2025 I and 2025 II into one file of 60 problems.

in    test2024.jsonl, test2025-I.jsonl, test2025-II.jsonl in a folder or under a URL: id, problem,
                             answer; solution, url
out   aime.jsonl             id, global_id, source_dataset, original_id, problem, answer, solution,
                             url
      python exp/prep_aime.py --source data/aime/raw --save_path data/aime/aime.jsonl

Without --source the three files come from the repository of GAIR-NLP/AIME-Preview. They must be
whole (30, 15 and 15 problems, each with an answer from 0 to 999), or nothing is written.
`global_id` is 0 to 59, `answer` a string without leading zeros.
"""

import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from lib import cli, rows
from lib.errors import UserError
from lib.output import Output
from lib.progress import say

PROBLEMS = {"test2024": 30, "test2025-I": 15, "test2025-II": 15}  # in each file
# The commit that was read is 7011a9eae7, but this address takes no short hash. What came is in
# X.meta.json, by its SHA-256.
URL = "https://raw.githubusercontent.com/GAIR-NLP/AIME-Preview/main/eval/data/aime"
TIMEOUT_S = 30
LARGEST = 5_000_000  # bytes of a file; the largest of the three has 146,233
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def refusal(fault: str) -> UserError:
    return UserError(f"{fault}; nothing is written")


def is_safe(url: str) -> bool:
    """Whether `url` is https; plain http only within this machine."""
    address = urlsplit(url)
    if address.scheme == "https":
        return True
    return address.scheme == "http" and address.hostname in LOOPBACK


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to a safe address."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not is_safe(newurl):
            raise refusal(f"{req.full_url}: led to {newurl}, and only https is downloaded")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str) -> bytes:
    """The whole file at `url`; UserError names it and says why it did not come whole."""
    if not is_safe(url):
        raise refusal(f"{url}: only https is downloaded")
    opener = urllib.request.build_opener(SafeRedirects)
    try:
        with opener.open(url, timeout=TIMEOUT_S) as response:
            content = response.read(LARGEST + 1)  # a byte more shows that it is too large
            announced_bytes = response.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        raise refusal(f"{url}: {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        # Some errors have no text; then their name is all there is to say.
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise refusal(f"{url}: {reason}") from None
    received_bytes = len(content)
    if received_bytes > LARGEST:
        raise refusal(f"{url}: larger than {LARGEST:,} bytes")
    if announced_bytes and announced_bytes != str(received_bytes):
        fault = f"torn, {received_bytes} of {announced_bytes} bytes came"
        raise UserError(f"{url}: {fault}; nothing is written, run it again")
    return content


def read_problems(file: str, content: bytes, count: int) -> list[dict]:
    """The `count` problems of one `.jsonl` file; UserError says FILE:LINE and what is wrong.

    A problem is {problem, solution, url, answer, original_id}.
    """
    problems = []
    for line_number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            problem = read_problem(f"{file}:{line_number}", line)
            problems.append(problem)
    if len(problems) != count:
        raise refusal(f"{file}: {len(problems)} problems, expected {count}")
    return problems


def read_problem(place: str, line: bytes) -> dict:
    """The problem of one line; UserError begins with `place`, FILE:LINE."""
    try:
        row = json.loads(line)
    except ValueError as error:
        fault = getattr(error, "msg", "not UTF-8")  # only a JSONDecodeError has `msg`
        raise refusal(f"{place}: torn or not JSON ({fault})") from None
    if not isinstance(row, dict):
        raise refusal(f"{place}: expected an object, found {type(row).__name__}")
    for key in ("id", "problem", "answer"):
        if row.get(key) in (None, ""):
            known_keys = ", ".join(row) or "nothing"
            raise refusal(f"{place}: no {key!r} (has: {known_keys})")
    answer = str(row["answer"]).strip()
    if not re.fullmatch("[0-9]{1,3}", answer):
        raise refusal(f"{place}: answer {answer!r} is no integer from 0 to 999")
    problem = {
        "problem": row["problem"],
        "solution": row.get("solution") or "",
        "url": row.get("url") or "",
    }
    for key, text in problem.items():
        if not isinstance(text, str):
            raise refusal(f"{place}: {key!r} is a {type(text).__name__}, not text")
    without_leading_zeros = str(int(answer))
    return problem | {"answer": without_leading_zeros, "original_id": str(row["id"])}


def combine(problems_by_source: dict[str, list[dict]], files: dict[str, str]) -> list[dict]:
    """The problems of all sources as numbered rows; UserError if one is there twice.

    `files` names each source's file, for that message.
    """
    combined = []
    place_of: dict[str, str] = {}  # by the id of the problem's text
    for source_dataset, problems in problems_by_source.items():
        for problem in problems:
            original_id = problem["original_id"]
            problem_id = rows.row_id(problem["problem"])
            if problem_id in place_of:
                repeat = f"{original_id} is the same problem as {place_of[problem_id]}"
                raise refusal(f"{files[source_dataset]}: {repeat}")
            place_of[problem_id] = f"{original_id} of {source_dataset}"
            row = {
                "id": problem_id,
                "global_id": len(combined),
                "source_dataset": source_dataset,
                "original_id": original_id,
                "problem": problem["problem"],
                "answer": problem["answer"],
                "solution": problem["solution"],
                "url": problem["url"],
            }
            combined.append(row)
    return combined


def main(save_path: str, source: str = URL, overwrite: bool = False):
    is_remote = "://" in source
    folder = source.rstrip("/")
    files = {source_dataset: f"{folder}/{source_dataset}.jsonl" for source_dataset in PROBLEMS}
    settings = {"source": folder if is_remote else "a folder"}
    inputs = () if is_remote else tuple(files.values())
    out = Output(save_path, "prep_aime", settings, inputs, overwrite)
    if out.announce(f"60 problems of {source}"):
        return
    hashes = {}
    problems_by_source = {}
    for source_dataset, file in files.items():
        content = download(file) if is_remote else Path(file).read_bytes()
        problems = read_problems(file, content, PROBLEMS[source_dataset])
        hashes[source_dataset] = hashlib.sha256(content).hexdigest()
        problems_by_source[source_dataset] = problems
    combined = combine(problems_by_source, files)
    notes = {"sha256": hashes} if is_remote else {}
    out.write_rows([(row, None) for row in combined], notes)
    command = f"--model_path tiny --test_data_path {save_path} --save_dir data/eval"
    say(f"next: python exp/eval_aime.py {command}")


if __name__ == "__main__":
    cli.run(main)
