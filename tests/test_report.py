"""The report of a run: what it counts, that nothing of a model's text becomes markup, that nothing leaves the page."""

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conftest import TINY, stage_here
from lib import rows
from lib.errors import UserError
from lib.quality import diversity
from lib.report import charts, engine_share, facts, figures, mathml, run_folder
from lib.report.figures import Examples
from lib.tiny import truth

HOSTILE = (
    "<script>alert(1)</script></style></title></svg><img src=http://x.test/a onerror=alert(1)> [a](javascript:alert(1)) \ud800 \u202e\0"
    r" $\href{javascript:alert(1)}{x}$ $\style{background:url(//x.test)}{y}$ $\text{</math><script>alert(2)</script>}$ {{ 7*7 }} "
    r"\[\unicode{x3c}b\unicode{x3e} \frac{1\] $\def\a{\a\a}\a$ \boxed{<b>} " + "שלום " * 3 + "a" * 100_000
)  # fmt: skip
SETTINGS = {"model": "tiny@1", "seed": 3, "temperature": 0.9}


def save(path: Path, kept_rows: list[dict], stage_name: str, dropped: dict | None = None) -> None:
    """A finished file with its meta file, as lib/output leaves them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [rows.dumps(row) for row in kept_rows]
    whole = (
        b"\n".join(lines) + b"\n"
        if path.suffix == ".jsonl"
        else b"[\n" + b",\n".join(lines) + b"\n]\n"
    )
    path.write_bytes(whole)
    counts = {
        "rows_in": len(kept_rows) + sum((dropped or {}).values()),
        "rows_out": len(kept_rows),
        "dropped": dropped or {},
    }
    facts = {"stage": stage_name, "settings": SETTINGS, "notes": {"commit": "abc"}}
    rows.write_json(
        f"{path}.meta.json", facts | {"seconds": 4.2, "tokens": 90, "asking_seconds": 3.0} | counts
    )


def make_run(
    run: Path,
    problems: dict[str, list[str]],
    refined: bool = True,
    response: str = "It is \\boxed{5}.",
) -> Path:
    """A run of these problems by domain; each has a good response and two bad ones."""
    voted = []
    for domain, texts in problems.items():
        problem_rows = [
            {"id": rows.row_id(text), "instruction": text, "domain": domain} for text in texts
        ]
        save(
            run / domain / f"{domain}_ins.json",
            problem_rows,
            "gen_ins",
            {"not a question": 2, "truncated": 1},
        )
        answered = [row | {"response": response, "finish_reason": "length"} for row in problem_rows]
        save(run / domain / f"{domain}_ins_res.json", answered, "gen_res")
        sampled = {
            "responses": [response, "No.", "No."],
            "finish_reasons": ["stop", "stop", "length"],
        }
        ranked = [
            row | sampled | {"scores": [n + 0.5, -1, -2]} for n, row in enumerate(problem_rows)
        ]
        save(run / domain / f"{domain}_ins_7res_armorm.json", ranked, "gen_po_rewards")
        verdict = {
            "answer": "5",
            "agreement": 0.6667,
            "difficulty": 0.6667,
            "marks": ["right", "right", "wrong"],
        }
        voted += [row | verdict for row in ranked]
    if refined:
        save(run / "refined/clean.json", voted, "clean_ins", {"near-duplicate": 4})
        save(run / "refined/voted.json", voted, "vote_res")
        save(
            run / "refined/sft.jsonl",
            [{"id": "1"}],
            "prep_sft",
            {"little agreement": len(voted) - 1},
        )
        save(
            run / "refined/pairs.jsonl",
            [{"chosen_score": 2.0, "rejected_score": -1.0}],
            "prep_pairs",
        )
    return run


PROBLEMS = {
    "geometry": ["How large is a square?", "How large is the square?"],
    "number_theory": [f"What is gcd({n}, {2 * n + 1})?" for n in range(2, 60)],
}


def report(run: Path, *flags: object) -> str:
    result = stage_here("report_run", "--run_path", run, *flags)
    assert result.returncode == 0, result.stderr
    return (run / "report.html").read_bytes().decode()  # strictly UTF-8


class Page(HTMLParser):
    """The elements and attributes that a browser would see."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.cells: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        self.in_cell = tag in ("td", "th")

    def handle_data(self, data):
        if getattr(self, "in_cell", False):
            self.cells[-1][-1] += data

    def handle_endtag(self, tag):
        self.in_cell = False


def test_the_page_counts_what_the_run_has_and_says_where_rows_went(tmp_path):
    page = Page(report(make_run(tmp_path / "run", PROBLEMS)))
    assert [
        "gen_ins",
        "66",
        "60 + 6 ✓",
        "4 not a question, 2 truncated",
        "180",
        "8s",
        "30",
    ] in page.cells
    assert ["prep_sft", "60", "1 + 59 ✓", "59 little agreement", "90", "4s", "30"] in page.cells
    assert [
        "number theory",
        "58",
        "4",
        "100.0%",
        "100.0%",
        "33.3%",
        "8.667",
        "29.000",
    ] in page.cells
    (near,) = [c for c in page.cells if c[0] == "geometry" and c[-1] == "too few to say"]
    assert near[:4] == ["geometry", "2", "50.0%", "0.0%"]
    assert ["gen_ins", "temperature", "0.9", "all"] in page.cells


def test_a_run_that_is_not_refined_says_so_and_goes_on(tmp_path):
    run = make_run(tmp_path / "run", PROBLEMS, refined=False)
    (run / "number_theory/number_theory_ins_7res.json.part").touch()
    text = report(run)
    assert "Not refined: " in text and "Not finished yet: number_theory_ins_7res.json." in text
    assert 'id="agreement"' not in text and 'id="examples"' in text


@pytest.mark.slow
def test_nothing_leaves_the_page_and_no_model_text_becomes_markup(tmp_path):
    run = make_run(
        tmp_path / "run", {"number_theory": [HOSTILE, *PROBLEMS["number_theory"]]}, response=HOSTILE
    )
    meta = run / "number_theory/number_theory_ins.json.meta.json"
    meta.write_text(
        meta.read_text()
        .replace("tiny@1", "<script src=//x.test>")
        .replace("truncated", "<b onclick=a>")
    )
    text = report(run, "--examples", 5)
    page, calm = Page(text), Page(report(make_run(tmp_path / "calm", PROBLEMS), "--examples", 5))
    assert (
        page.tags - calm.tags <= {"math", "mi", "mn", "mo", "mrow", "mtext", "code"}
        and "script" not in page.tags
    )
    assert {name for name, _ in page.attributes} - {name for name, _ in calm.attributes} <= {
        "stretchy"
    }
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "src"))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("content", policy) in page.attributes
    assert not re.search(
        r"url\(|@import|expression\(", re.search("<style>.*?</style>", text, re.S)[0]
    )
    assert (
        "⟨U+202E⟩" in text
        and "\ufffd" in text  # what half a character is written as
        and "{{ 7*7 }}" in text
        and "more characters" in text
    )
    assert len(text) < 400_000


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes_wherever_it_lies(tmp_path):
    first, second = (report(make_run(tmp_path / place / "run", PROBLEMS)) for place in ("a", "b"))
    assert first == second
    assert (
        report(tmp_path / "a/run", "--seed", 1, "--save_path", tmp_path / "a/run/report.html")
        != first
    )


@pytest.mark.parametrize(
    "spoil, message",
    [
        pytest.param(lambda run: (run / "number_theory/number_theory_ins.json").write_text('[\n{"instruction": "What'), "_ins.json:2: torn", id="torn"),
        pytest.param(lambda run: (run / "number_theory/number_theory_ins.json").write_text('[\n{"a": 1}\n]'), "_ins.json:2: no key", id="key"),
        pytest.param(lambda run: (run / "number_theory/number_theory_ins.json").write_text('[\n{"instruction": 1}\n]'), "not text", id="a number"),
        pytest.param(lambda run: (run / "number_theory/number_theory_ins.json").write_text('[\n{"instruction": "1?"}\n]'), "meta file counts 58", id="rows lost"),
        pytest.param(lambda run: (run / "number_theory/number_theory_ins.json.meta.json").unlink(), "meta.json: no such file", id="no meta file"),
        pytest.param(lambda run: (run / "number_theory/number_theory_ins.json.meta.json").write_text('{"stage"'), "torn or not JSON", id="torn meta file"),
        pytest.param(lambda run: (run / "comparison.json").write_text('{"models": [{}]}'), "not a comparison of models", id="comparison"),
        pytest.param(lambda run: [p.unlink() for p in run.glob("*/*_ins.json")], "no domain's files", id="an empty run"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_read_is_one_line_and_no_page(spoil, message, tmp_path):
    run = make_run(tmp_path / "run", PROBLEMS)
    spoil(run)
    result = stage_here("report_run", "--run_path", run)
    assert result.returncode == 2 and not (run / "report.html").exists()
    assert (
        result.stderr.splitlines()[-1].startswith("report_run: error: ")
        and message in result.stderr
        and "Traceback" not in result.stderr
    )


def test_a_file_in_another_layout_is_read_too(tmp_path):
    save(tmp_path / "x.json", [{"instruction": "a"}, {"instruction": "b"}], "gen_ins")
    meta = json.loads((tmp_path / "x.json.meta.json").read_bytes())
    rows.write_json(tmp_path / "x.json", [{"instruction": "a"}, {"instruction": "b"}])
    file = run_folder.RunFile("problems", "x", tmp_path / "x.json", meta)
    assert [row["instruction"] for row in run_folder.read(file, ("instruction",))] == ["a", "b"]


def test_a_finished_file_without_rows_is_read_and_lost_rows_are_not(tmp_path):
    path = tmp_path / "x.json"
    save(path, [], "gen_ins")
    path.write_bytes(b"[]\n")  # as lib/output writes it
    meta = json.loads((tmp_path / "x.json.meta.json").read_bytes())
    file = run_folder.RunFile("problems", "x", path, meta)
    assert list(run_folder.read(file, ("instruction",))) == []
    rows.write_lines(path, [{"instruction": "a"}])
    with pytest.raises(UserError, match="1 rows, but its meta file counts 0; make it again"):
        list(run_folder.read(file, ("instruction",)))


ROW = {"instruction": "a", "responses": ["b", "c"], "finish_reasons": ["stop", "stop"]}


@pytest.mark.parametrize(
    "change, message",
    [
        pytest.param({"responses": []}, "'responses' is not a list of texts", id="no response"),
        pytest.param({"responses": ["b", 1]}, "'responses' is not a list of texts", id="a number"),
        pytest.param({"responses": "bc"}, "'responses' is not a list", id="a text"),
        pytest.param({"finish_reasons": ["stop"]}, "1 finish_reasons of 2 responses", id="fewer"),
        pytest.param({"scores": [1.0]}, "1 scores of 2 responses", id="fewer of what need not be"),
        pytest.param({"scores": [1.0, "2"]}, "'scores' holds what is no number", id="no number"),
        pytest.param({"instruction": None}, "'instruction' is not text", id="null"),
    ],
)
def test_a_row_that_cannot_be_counted_is_named_with_its_line(change, message, tmp_path):
    save(tmp_path / "x.json", [ROW, ROW | change], "gen_po_rewards")
    meta = json.loads((tmp_path / "x.json.meta.json").read_bytes())
    file = run_folder.RunFile("ranked", "x", tmp_path / "x.json", meta)
    with pytest.raises(UserError, match=f"x.json:3: {message}"):
        list(run_folder.read(file, ("instruction", "responses", "finish_reasons")))


MATH = [
    pytest.param("so $x^2$.", "so <math><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>.", id="inline"),
    pytest.param("a\n\n\\[1\\]\n\nb", 'a<math display="block"><mrow><mn>1</mn></mrow></math>b', id="displayed, a line of its own"),
    pytest.param("It is \\boxed{7}.", 'It is <math><mrow><mrow class="boxed"><mrow><mn>7</mn></mrow></mrow></mrow></math>.', id="box"),
    pytest.param("$5 and $6", "$5 and $6", id="prices"),
    pytest.param("$\\frac{1$ <", "<code>$\\frac{1$</code> &lt;", id="broken is source"),
    pytest.param("$\\frob{x}$", "<code>$\\frob{x}$</code>", id="unknown command is source"),
    pytest.param("$\\def\\a{\\a\\a}\\a$", "<code>$\\def\\a{\\a\\a}\\a$</code>", id="no macros"),
    pytest.param("$\\cancel{x}$", "<code>$\\cancel{x}$</code>", id="not drawn as another thing"),
    pytest.param("$\\href{javascript:a}{x}$", "<math><mrow><mrow><mrow><mi>x</mi></mrow></mrow></mrow></math>", id="a link's text only"),
    pytest.param("$\\hspace{999em}x$", "<math><mrow><mspace></mspace><mi>x</mi></mrow></math>", id="no mile of space"),
    pytest.param("$\\text{</math><b>}$", "<math><mrow><mtext>&lt;/math&gt;&lt;b&gt;</mtext></mrow></math>", id="text in a formula"),
    pytest.param("$\\text{&lt;b&gt;}$", "<math><mrow><mtext>&lt;b&gt;</mtext></mrow></math>", id="escapes in a formula"),
    pytest.param("a\r\nb\u202e\0\ufeff", "a\nb⟨U+202E⟩⟨U+0000⟩⟨U+FEFF⟩", id="what cannot be seen"),
]  # fmt: skip


@pytest.mark.parametrize("text, shown", MATH)
def test_latex_becomes_mathml_and_all_else_is_escaped(text, shown):
    assert mathml.to_html(text) == shown


def test_a_long_text_is_cut_in_the_middle_and_says_so():
    assert (
        mathml.to_html("x" * 5000 + "y", 3000)
        == "x" * 2000 + '<span class="cut">… 2,001 more characters …</span>' + "x" * 999 + "y"
    )
    text = "$a$ " * 500 + "\n" + "It is $b$. " * 30  # the last third would begin amidst formulas
    shown = mathml.to_html(text, 1200)
    assert shown.count("<mi>b</mi>") == 30 and "more characters …</span>It is <math>" in shown


@pytest.mark.parametrize(
    "unit",
    [
        "{",
        "x^{",
        "\\sqrt{",
        "\\left(",
        "\\[",
        "$x",
        "\\boxed{",
        "\\begin{align}",
        "\\frac",
        "$$",
        "\\begin{array}{c}",
        "&",
        "a^'_",
    ],
)
def test_hostile_latex_takes_no_time(unit):
    started = time.process_time()
    for text in (unit * (3000 // len(unit)), f"${unit * (700 // len(unit))}{'}' * 90}$"):
        mathml.to_html(text)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "total, new, new_in_half, count",
    [
        pytest.param(1000, 1000, 500, None, id="all new"),
        pytest.param(1000, 950, 490, None, id="beyond ten times the problems"),
        pytest.param(1000, 100, 100, 500, id="nothing new since the half"),
        pytest.param(1000, 500, 500 * 2**-0.5, 250, id="growing as the root: passed at a quarter"),
        pytest.param(
            1000, 800, 2**-0.8 * 800, 3436, id="growing as n^.8: .8 * .8 (n/1000)^-.2 is .5"
        ),
    ],
)
def test_where_more_problems_stop_helping(total, new, new_in_half, count):
    spent_at = diversity.spent_at(total, total // 2, new, new_in_half)
    if count is None:
        assert spent_at is None
    else:
        assert spent_at == pytest.approx(count, rel=0.001)


def test_a_curve_counts_what_is_new_in_the_order_of_the_texts():
    texts = [f"Find the sum of {n} and {n + 7} apples." for n in range(30)] + [
        "Find the sum of 3 and 10 apples."
    ] * 10
    curve = diversity.curve(texts, points=4)
    assert curve.counts == [10, 20, 30, 40] and curve.repeated == pytest.approx([0, 0, 0, 0.25])
    assert curve.new_texts == 0 and curve.new_ngrams == {2: 0, 3: 0}
    assert curve.distinct[2][0] == pytest.approx(
        (3 + 4 * 10) / 70
    )  # "find the", "the sum", "sum of" come again
    assert len(diversity.curve([str(n) for n in range(500)]).counts) == 60


def test_votes_are_worth_what_the_generator_says():
    row = {
        "instruction": "What is gcd(12, 8)?",
        "answer": "4",
        "marks": ["right", "right", "wrong"],
    }
    voted_rows = [
        row,
        row | {"answer": "2"},
        row | {"marks": ["right"] * 3},
        row | {"instruction": "Who?"},
    ]
    assert truth.vote_precision(voted_rows) == {(3, 3): (1, 1), (2, 3): (1, 2)}


def test_examples_are_the_best_the_worst_and_the_same_random_ones():
    first, second = Examples(2, 0), Examples(2, 0)
    for n in range(50):
        first.offer({"n": n, "scores": [n % 10, 0]})
        second.offer({"n": n, "scores": [n % 10, 0]})
    groups = {name: [row["n"] for row in examples] for name, examples in first.groups().items()}
    assert groups["best"] == [9, 19] and groups["worst"] == [0, 10]
    assert first.groups() == second.groups()
    assert Examples(0, 0).groups() == {}


def test_the_texts_of_a_page_say_majority_voted_and_never_verified(tmp_path):
    text = report(make_run(tmp_path / "run", PROBLEMS))
    assert "majority-voted problems" in text and "verified" not in text.lower()
    (tmp_path / "run/refined/voted.json").unlink()
    assert "Not majority-voted, so figures of agreement" in report(tmp_path / "run")


@pytest.mark.parametrize(
    "values", [[3], [0.0, 0.0], [-1e6, 1e6], [1, 1, 1, 900], [0.1] * 1000 + [5.0]]
)
def test_a_histogram_holds_every_value_once(values):
    chart = charts.histogram("t", "words", "problems", {"problems": values})
    svg = charts.as_inline_svg(chart)
    counts = [int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) problems", svg)]
    assert sum(counts) == len(values)
    assert "nan" not in svg and "inf" not in svg
    outlined = charts.histogram("t", "u", "of", {"a": values, "<b>": values}, stacked=False)
    assert "path" in charts.as_inline_svg(outlined)


def test_a_histogram_of_whole_numbers_has_whole_bins_each_named_by_its_numbers():
    svg = charts.as_inline_svg(charts.histogram("t", "words", "problems", {"problems": [2, 3, 3]}))
    assert "<title>2 to 3 words: 1 problems</title>" in svg
    assert "<title>3 to 4 words: 2 problems</title>" in svg


def test_counts_of_groups_are_stacked_and_named_in_a_key():
    groups = {"finished": [1.0, 2.0], "truncated": [1.0] * 1200}
    svg = charts.as_inline_svg(charts.histogram("t", "characters", "responses", groups))
    assert ": 1 finished</title>" in svg and ": 1,200 truncated</title>" in svg
    assert {">finished</text>", ">truncated</text>"} <= set(re.findall(">[a-z]+</text>", svg))


NASTY = "<b>&\"'\ud800\0\u202e $x^2$ ]]>"


def all_kinds(name: str) -> list:
    """A chart of each kind, with this text wherever there may be one."""
    return [
        charts.histogram(name, name, name, {name: [1, 2, 3]}),
        charts.histogram(name, name, name, {name: [1.5], name + "2": [2.5]}, stacked=False),
        charts.lines(name, name, name, {name: [(1, 0.5), (2, 0.25)], name + "2": [(1, 0.0)]}),
        charts.bars(name, [charts.Bar(name, (1, 2), name)], (name, "rest"), 3),
        charts.intervals(name, name, [charts.Interval(name, 0.25, 0.5, 1, name, "base")]),
    ]


def test_names_in_charts_are_shown_as_they_are_and_never_as_markup():
    calm = [charts.as_inline_svg(chart) for chart in all_kinds("calm")]
    for svg, calm_svg in zip(map(charts.as_inline_svg, all_kinds(NASTY)), calm, strict=True):
        page, calm_page = Page(svg), Page(calm_svg)
        assert page.tags == calm_page.tags and "b" not in page.tags
        names = {name for name, _ in page.attributes}
        wrapped = {"transform"}  # the place of a text of several lines
        assert names - wrapped == {name for name, _ in calm_page.attributes} - wrapped
        assert not names & {"onclick", "xlink:href"}
        assert (
            "&lt;b&gt;&amp;" in svg and "⟨U+D800⟩" in svg and "⟨U+202E⟩" in svg and "$x^2$" in svg
        )
        svg.encode()  # no half of a surrogate pair is left


def test_a_name_that_begins_with_an_underscore_is_in_the_key_too():
    curves = {"_a": [(1, 0.5), (2, 0.5)], "b": [(1, 0.25), (2, 0.25)]}
    svg = charts.as_inline_svg(charts.lines("t", "problems", "share", curves))
    assert re.findall(r">(_a|b)</text>", svg) == ["_a", "b"]


def test_a_very_long_name_leaves_room_for_the_chart():
    for chart in all_kinds("word " * 2000 + "x" * 2000):
        svg = charts.as_inline_svg(chart)
        axes_box = chart.axes[0].get_position()
        assert axes_box.width > 0.1 and len(svg) < 20_000 + len(chart.get_label())


def test_a_chart_has_a_title_a_role_and_no_size_of_its_own():
    for chart in all_kinds("a < b"):
        svg = charts.as_inline_svg(chart)
        start = re.match(
            r'<svg viewBox="0 0 440 \d+(\.\d+)?" role="img"><title>([^<]*)</title>', svg
        )
        assert start and start[2] == "a &lt; b"


def test_a_chart_refers_to_nothing_outside_of_itself_and_styles_nothing_else():
    for svg in map(charts.as_inline_svg, all_kinds("name")):
        assert not re.search("http|xmlns|<style|<metadata|@import|<script|font-family", svg)
        ids = re.findall(' id="([^"]*)"', svg)
        links = re.findall(r'(?:href="|url\()#([^")]*)', svg)
        assert len(ids) == len(set(ids)) and set(links) <= set(ids)


def test_charts_on_one_page_share_no_id():
    svgs = [charts.as_inline_svg(chart) for chart in (*all_kinds("one"), *all_kinds("two"))]
    ids = [re.findall(' id="([^"]*)"', svg) for svg in svgs]
    one, two = ids[:5], ids[5:]
    assert sum(map(len, one)) and not set(sum(one, [])) & set(sum(two, []))


def test_the_colours_of_a_chart_are_the_variables_of_the_style_sheet(tmp_path):
    svgs = "".join(charts.as_inline_svg(chart) for chart in all_kinds("name"))
    assert set(re.findall(r"var\(--([a-z]+)\)", svgs)) <= charts.LIGHT.keys()
    assert charts.LIGHT.keys() == charts.DARK.keys()
    assert not re.search("#[0-9a-f]{6}", re.sub("#[mp][0-9a-f]{10}", "", svgs))
    page = report(make_run(tmp_path / "run", PROBLEMS))
    for colours in (charts.LIGHT, charts.DARK):
        assert all(f"--{name}: {colour};" in page for name, colour in colours.items())
    defined = set(re.findall(r"--([a-z]+):", page))
    assert set(re.findall(r"var\(--([a-z]+)\)", page)) <= defined


def test_the_same_chart_gives_the_same_bytes():
    first, second = all_kinds("name"), all_kinds("name")
    for one, other in zip(first, second, strict=True):
        assert charts.as_inline_svg(one) == charts.as_inline_svg(other)
    for one, other in zip(all_kinds("name"), all_kinds("name"), strict=True):
        image = charts.as_png(one)
        assert image.startswith(b"\x89PNG") and image == charts.as_png(other)


@pytest.mark.parametrize(
    "bounds, limits, low, high",
    [
        pytest.param((0.0, 0.0, 0.02), None, 0, 0.04, id="nothing below 0"),
        pytest.param((0.99, 1.0, 1.0), None, 0.98, 1, id="nothing above 1"),
        pytest.param((0.4, 0.5, 0.6), None, 0.3, 0.7, id="as wide as the interval"),
        pytest.param((0.4, 0.5, 0.6), (0, 1), 0, 1, id="typed"),
    ],
)
def test_an_axis_of_shares_is_as_wide_as_its_intervals(bounds, limits, low, high):
    chart = charts.intervals("t", "accuracy", [charts.Interval("a", *bounds)], limits)
    left, right = chart.axes[0].get_xlim()
    assert low <= left <= bounds[0] and bounds[2] <= right <= high


def test_the_verdicts_of_intervals_have_colours_and_the_base_a_dashed_line():
    verdicts = [None, *charts.VERDICTS]
    rows = [charts.Interval(str(v), 0.1, 0.2, 0.3, f"20% {v}", v) for v in verdicts]
    svg = charts.as_inline_svg(charts.intervals("t", "accuracy", rows))
    assert all(f"var(--{colour})" in svg for colour in charts.VERDICTS.values())
    assert svg.count("stroke-dasharray") == 1
    assert "<title>gain: 20.0%, 10.0% to 30.0%</title>" in svg


def test_a_described_run_has_a_line_for_each_domain_and_their_sums(tmp_path):
    run = make_run(tmp_path / "run", PROBLEMS)
    for domain in PROBLEMS:
        ranked = rows.read(str(run / f"{domain}/{domain}_ins_7res_armorm.json"))
        save(run / f"{domain}/{domain}_ins_7res.json", ranked, "gen_po_multi_res")
    result = stage_here("describe_run", "--run_path", run, "--model_path", TINY)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    shares = ["100.0%", "100.0%", "0.0%", "0.0%", "0.0%"]
    assert cells[2] == ["geometry", "2", "3", "2", "2", "100.0%", "0.0%", "–", "–", "–"]
    assert cells[3] == ["number_theory", "58", "3", "58", "58", *shares]
    assert cells[4] == ["all", "60", "6", "60", "60", "100.0%", "96.7%", "0.0%", "0.0%", "0.0%"]
    card = (run / "README.md").read_text()
    assert "\n".join(lines) in card and "| geometry | gen_ins | seed 3, temperature 0.9 |" in card
    info = json.loads((run / "geometry/dataset_info.json").read_bytes())
    assert info["stages"]["gen_po_multi_res"]["rows_out"] == info["problems"] == 2
    combined = json.loads((run / "combined_dataset_info.json").read_bytes())
    assert list(combined["domains"]) == ["geometry", "number_theory"]
    assert combined["total_problems"] == 60


def test_a_run_without_a_meta_file_cannot_be_described(tmp_path):
    run = make_run(tmp_path / "run", {"geometry": PROBLEMS["geometry"]})
    ranked = run / "geometry/geometry_ins_7res_armorm.json"
    save(run / "geometry/geometry_ins_7res.json", rows.read(str(ranked)), "gen_po_multi_res")
    Path(f"{ranked}.meta.json").unlink()
    result = stage_here("describe_run", "--run_path", run, "--model_path", TINY)
    assert result.returncode == 2 and "armorm.json.meta.json: no such file; make" in result.stderr
    assert not (run / "README.md").exists()


def test_a_missing_run_is_an_error_of_the_user(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        run_folder.find(tmp_path / "none")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param([[[0, 10]]], "10s of 40s (25%)", id="one stage"),
        pytest.param([[[0, 10]], [[5, 15]]], "15s of 40s (38%)", id="side by side is not added"),
        pytest.param([[[0, 30]], [[5, 15]]], "30s of 40s (75%)", id="one inside the other"),
        pytest.param([[[30, 40], [0, 5]]], "15s of 40s (38%)", id="two sessions of a stage"),
        pytest.param([[[-90, 10]]], "10s of 40s (25%)", id="what an earlier run asked is cut off"),
        pytest.param([[[-90, -80]], []], "", id="nothing was asked in this run"),
    ],
)
def test_the_share_of_the_time_in_which_a_model_was_asked_unites_the_stages(spans, expected):
    metas = [{"asked_at": [[100 + first, 100 + last] for first, last in s]} for s in spans]
    words = engine_share.in_words([*metas, {}], elapsed_s=40, now=140)
    assert words.startswith(f"The models were asked during {expected}" if expected else "")
    assert bool(words) == bool(expected)


def test_a_response_without_a_score_has_no_reward():
    row = {
        "instruction": "1 + 1?",
        "responses": ["2", "3"],
        "finish_reasons": ["stop", "stop"],
        "scores": [1.5, None],
        "unscored": ["too long"],
    }
    assert [shown["reward"] for shown in facts.example(row)["responses"]] == ["1.500", ""]
    examples = figures.Examples(1, seed=0)
    examples.offer(row)
    examples.offer({**row, "scores": [None, None]})
    assert examples.groups()["best"] == examples.groups()["worst"] == [row]
    votes = figures.count_votes(
        [{**row, "answer": "2", "marks": ["right", "wrong"], "agreement": 0.5, "difficulty": 0.5}],
        figures.Examples(1, seed=0),
    )
    assert (votes.right_rewards, votes.wrong_rewards) == ([1.5], [])
