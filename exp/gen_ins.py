"""Let the model itself invent problems of one domain, from nothing but the first tokens of its chat format.

in    nothing, or the model's own imagination
out   algebra_ins.json       id, instruction, domain
      python exp/gen_ins.py --model_path data/models/tiny --save_path data/demo/algebra_ins.json --total_prompts 20 \\
          --temperature 1.0 --control_tasks math --domain algebra --max_tokens 128

The pre-query prompt is the model's own chat template with the domain's system prompt, cut where the user's words begin
(Magpie, arXiv 2406.08464). Unusable and repeated generations are dropped with a reason and replaced, at most 4 attempts a row.
"""

from collections.abc import Iterator
from dataclasses import replace

from lib import chat, cli, models, progress
from lib.inference import generate
from lib.inference.requests import Reply, Request
from lib.output import Output
from lib.quality import generations
from lib.rows import derive_seed, row_id

ATTEMPTS_PER_ROW = 4


def main(
    model_path: str,
    save_path: str,
    total_prompts: int,
    domain: str,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 1024,
    control_tasks: str = "math",
    seed: int = 0,
    engine: str = "vllm",
    base_url: str = "",
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
):
    if control_tasks != "math":
        raise cli.UserError(f"no control task {control_tasks!r}; {cli.near(control_tasks, ['math'])}")
    if total_prompts < 1:
        raise cli.UserError(f"--total_prompts {total_prompts}: at least 1 row must be asked for")
    asked_for = generate.sampling(temperature, top_p, max_tokens)
    backend = generate.Backend(engine, base_url, batch_size, trust_remote_code)
    model = models.find(model_path)
    system_prompt = models.domain(model, domain).system_prompt
    settings = {"model": models.identity(model), "domain": domain, "system_prompt": system_prompt, "seed": seed}
    settings |= {"total_prompts": total_prompts, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    out = Output(save_path, "gen_ins", settings, overwrite=overwrite)
    if generate.announce(out, f"{total_prompts:,} {domain} problems", model):
        return
    sampling = generate.limited(model, "ins", asked_for)
    out.open(generate.notes(backend))

    seen: set[str] = set()  # the texts of kept rows
    good = 0
    for _, row, why in out.records():
        good += not why and is_new(row["instruction"], seen)
    # Every dropped or repeated attempt is replaced at once. So the attempts are 0..M-1 for the smallest M that holds
    # `total_prompts` good ones, whatever the order in which they finish: the same file from every run.
    missing = total_prompts - good
    asked = out.resumed + missing

    def request(attempt: int) -> Request:
        return Request(attempt, prompt, sampling, derive_seed(seed, attempt, domain))

    def first_attempts() -> Iterator[Request]:
        return (request(a) for a in range(asked) if a not in out)

    def accept(reply: Reply) -> list[Request]:
        nonlocal good, asked
        if reply.refused:
            raise cli.UserError(f"the pre-query prompt and --max_tokens {max_tokens} do not fit the context of {model.name}")
        text, finish_reason = reply.completions[0].text.strip(), reply.completions[0].finish_reason
        row = {"id": row_id(domain, text), "instruction": text, "domain": domain}
        why = generations.why_unusable(text, finish_reason)
        out.add(reply.key, row, why)
        if not why and is_new(text, seen):
            good += 1
        elif asked < ATTEMPTS_PER_ROW * total_prompts:
            asked += 1
            return [request(asked - 1)]
        return []

    if missing > 0 and out.resumed < ATTEMPTS_PER_ROW * total_prompts:
        asked = min(asked, ATTEMPTS_PER_ROW * total_prompts)
        try:
            tokenizer = chat.load_tokenizer(model.path, trust_remote_code)
            prompt = chat.encode(tokenizer, chat.pre_query(tokenizer, system_prompt))
            ends = tuple(chat.stop_token_ids(tokenizer, chat.generation_config(model.path)))
            sampling = replace(sampling, stop_token_ids=ends, stop=tuple(chat.stop_strings(tokenizer)))
        except ValueError as e:
            raise cli.UserError(str(e)) from None
        generate.run(out, lambda: backend.load(model), first_attempts(), accept, total_prompts, backend.batch_size)

    if good < total_prompts:
        repeats = len(out) - out.dropped.total() - good
        drops = progress.reasons({**out.dropped, "repeated": repeats} if repeats else out.dropped)
        raise cli.Shortfall(f"{save_path}: only {good:,} of {total_prompts:,} problems after {len(out):,} attempts: {drops}; "
                            "ask for fewer, or change the temperature and --overwrite")  # fmt: skip
    kept: set[str] = set()
    out.finish(len(out), check=lambda row: None if is_new(row["instruction"], kept) else "repeated")
    generate.done(out)


def is_new(text: str, seen: set[str]) -> bool:
    """Whether a text is none of `seen`, to which it is then added."""
    text = generations.normalised(text)
    return text not in seen and not seen.add(text)


if __name__ == "__main__":
    cli.run(main)
