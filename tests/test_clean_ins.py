"""Cleaning problems: rules, near-duplicates and benchmarks find what they name and leave what only looks like it; nothing vanishes."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

import perturbations
from bench_cleaning import distinct, planted
from conftest import ROOT, stage
from lib import rows
from lib.errors import UserError
from lib.quality import cleaning, contamination, duplicates, rules, same_problem
from lib.quality.wording import signs, words
from lib.tiny import problems

# Words and numbers


@pytest.mark.parametrize(
    "text, same",
    [
        pytest.param("three apples", "3 apples", id="a number in words"),
        pytest.param("twenty-five", "25", id="a number of two words"),
        pytest.param("two hundred five", "205", id="hundreds in words"),
        pytest.param("$12 million", "$12,000,000", id="a scale behind digits"),
        pytest.param("1,000", "1000", id="thousands commas"),
        pytest.param("2.50 and 0.5", "2.5 and .5", id="zeros that say nothing"),
        pytest.param("Tom's", "TOM’S", id="case and apostrophe"),
        pytest.param(r"$\dfrac{1}{2}$", r"\[\left(\frac12\right)\]", id="layout of LaTeX"),
        pytest.param("Problem 3: 5 + 2", "12. 5 + 2", id="a number in front"),
        pytest.param("a  b\n c", "a, b; c.", id="space and stops"),
    ],
)
def test_the_same_words_in_two_spellings_are_one_list(text, same):
    assert words(text) == words(same)


@pytest.mark.parametrize(
    "text, found",
    [
        pytest.param("f''(x) - 1 = 0", ["''", "-", "="], id="primes"),
        pytest.param(
            "a two-digit number, Tom's and the students' books", [], id="hyphens and apostrophes"
        ),
        pytest.param(
            r"2 \times 3 \cdot 4 \leq 5 × 6", ["*", "*", "*", "<"], id="LaTeX and Unicode"
        ),
        pytest.param("**Find** 2**3", ["**"], id="bold type"),
    ],
)
def test_signs_are_those_of_formulas(text, found):
    assert signs(text) == found


# Near-duplicates

CLASS = (
    "In a class, 88 like books, 77 like chess and 24 like both. How many like at least one of them?"
)
BAG = (
    "A bag has 5 red balls, 3 blue balls and 9 green balls. What is the probability of a red ball?"
)


@pytest.mark.parametrize(
    "first, second, same",
    [
        pytest.param("Find 5 * 6 mod 7.", "Compute 5 * 6 mod 7.", True, id="another verb, of five words"),
        pytest.param(CLASS, CLASS.replace("chess", "sport"), True, id="another thing"),
        pytest.param(CLASS, CLASS.upper().replace(".", "!"), True, id="case and stops"),
        pytest.param(CLASS, CLASS.replace("least", "laest"), True, id="a typo"),
        pytest.param(CLASS, CLASS.replace("77", "seventy-seven"), True, id="a number in words"),
        pytest.param("What is f(8) if f(x) = 11x + 9?", "If f(x) = 11x + 9, what is f(8)?", True, id="clauses the other way round"),
        pytest.param("A triangle has base 42 and height 6. Find its area.", "A triangle has height 6 and base 42. Find its area.", True, id="numbers that moved with their words"),
        pytest.param("How many whole divisors does 2^3 * 5^2 have in all?", "How many whole divisors does 23  52 have in all", True, id="punctuation lost, and the signs with it"),
        pytest.param("Each costs $1.00 or $0.50, she buys 12. What does she pay?", "Each costs 100 or 050 she buys 12 What does she pay", True, id="the points of numbers lost"),
        pytest.param("Find the larger one of 12 and 30.", "Find the larger number of 12 and 30.", True, id="one that is no number"),
        pytest.param("Find 5 * 6 mod 7.", "Find 5 * 6 mod 8.", False, id="another number"),
        pytest.param("Let f(x) = 11x + 9. What is f(8)?", "Let f(x) = 9x + 11. What is f(8)?", False, id="numbers that changed places"),
        pytest.param("Tom has 3 apples on Monday and 5 apples on Friday.", "Tom has 5 apples on Monday and 3 apples on Friday.", False, id="numbers that changed days"),
        pytest.param("Find the volume of a box of 8 by 6 by 8.", "Find the volume of a box of 8 by 8 by 6.", False, id="numbers in a list"),
        pytest.param("Find 5 * 6 mod 7.", "Find 5 + 6 mod 7.", False, id="another sign"),
        pytest.param("Let f(x) = 2x^2 + 3x. Find f'(4).", "Let f(x) = 2x^2 + 3x. Find f(4).", False, id="a prime"),
        pytest.param("Let f(x) = 2x^2 + 3x. Find f'(4).", "Let f(x) = 2x^2 + 3x. Find f''(4).", False, id="two primes"),
        pytest.param("Find the gcd of 108 and 72.", "Find the lcm of 108 and 72.", False, id="gcd and lcm"),
        pytest.param("What is the mean of 3, 9 and 27?", "What is the median of 3, 9 and 27?", False, id="mean and median"),
        pytest.param("Find the derivative of x^3 at 2.", "Find the second derivative of x^3 at 2.", False, id="one more derivative"),
        pytest.param(BAG, BAG.replace("of a red", "of a blue"), False, id="another colour is asked for"),
        pytest.param("What is 25 * 8 mod 6?", "What is 258 mod 6?", False, id="digits that ran together, punctuation there"),
        pytest.param("what is 10 plus 5", "what is 100 plus 5", False, id="zeros, both without punctuation"),
    ],
)  # fmt: skip
def test_a_near_duplicate_is_the_same_problem_and_no_other(first, second, same):
    for pair in ((first, second), (second, first)):
        match = list(duplicates.matches(pair))[1]
        assert (match is not None) == same
        if match:
            assert match.partner == 0 and match.text == pair[0] and 0.7 <= match.score <= 1


def test_a_match_is_not_kept_itself_and_none_takes_no_part():
    steps = ["Find the sum of the numbers 12 and 30 now.", None]
    steps += [
        "Find the sum of the numbers 12 and 30 here.",
        "Find the sum of these numbers 12 and 30 here.",
        None,
    ]
    assert [m and m.partner for m in duplicates.matches(iter(steps), batch_size=2)] == [
        None,
        None,
        0,
        0,
        None,
    ]


def test_planted_copies_are_found_and_no_distinct_problem_is_dropped():
    """Thresholds were chosen on the problems of other seeds."""
    texts = planted(distinct(4000, "held out"), random.Random(1))
    found = [m is not None for m in duplicates.matches(text for text, _ in texts)]
    of, hits = (
        Counter(kind for _, kind in texts),
        Counter(kind for (_, kind), hit in zip(texts, found, strict=True) if hit),
    )
    assert hits[""] == 0 and of[""] == 4000
    assert hits.total() / 800 >= 0.99
    assert min(hits[k] / of[k] for k in perturbations.SAME_PROBLEM) >= 0.95


def test_gsm8k_has_hardly_a_near_duplicate(test_data):
    questions = [row["question"] for row in rows.read(str(test_data / "gsm8k/train.jsonl"))]
    assert (
        sum(m is not None for m in duplicates.matches(questions)) <= 7
    )  # 0.1%; those there are have other names or things


def sets_that_share(common: int, rng: random.Random) -> tuple[list[str], list[str]]:
    """Two lists of 100 words, of which `common` are in both."""
    shared_words = [f"shared {rng.random()}" for _ in range(common)]
    first, second = ([f"own {rng.random()}" for _ in range(100 - common)] for _ in range(2))
    return shared_words + first, shared_words + second


def rensa_share(first: list[str], second: list[str]) -> float:
    import rensa

    one, other = rensa.RMinHash.from_token_sets([first, second], 256, 1)
    return one.jaccard(other)


def datasketch_share(first: list[str], second: list[str]) -> float:
    datasketch = pytest.importorskip("datasketch", reason="a yardstick of requirements/bench.txt")
    one, other = datasketch.MinHash(256, seed=1), datasketch.MinHash(256, seed=1)
    one.update_batch([word.encode() for word in first])
    other.update_batch([word.encode() for word in second])
    return one.jaccard(other)


@pytest.mark.parametrize("estimate", [rensa_share, datasketch_share])
def test_minhash_estimates_the_true_share_of_shingles(estimate):
    rng = random.Random(0)
    for common in range(0, 100, 5):
        share = common / (200 - common)
        first, second = sets_that_share(common, rng)
        assert abs(estimate(first, second) - share) < 0.13  # four deviations of 256 draws


def test_shingles_of_problems_with_other_numbers_have_nothing_in_common():
    a, b, c = (
        same_problem.read(f"What is the sum of {n}?")
        for n in ("1,250 and 30", "1260 and 30", "3.0 and 1250")
    )
    shingles = [set(duplicates.shingles(x.words, x.numbers)) for x in (a, b, c)]
    assert not shingles[0] & shingles[1]
    assert len(shingles[0] & shingles[2]) == 7


# Rules

TABLE = "| x | 1 | 2 |\n| y | 3 | 4 |\n"


@pytest.mark.parametrize(
    "text, reason",
    [
        pytest.param("What?", "too short", id="one word"),
        pytest.param(r"$\int_0^1 x^2 \, dx$", None, id="a formula alone"),
        pytest.param("gcd(108, 72)", None, id="two words that are a problem"),
        pytest.param("Find x. " + "y " * 5000, "too long", id="ten thousand characters"),
        pytest.param("I'm sorry, but I can't help with that.", "refusal", id="an apology"),
        pytest.param("As an AI language model, I have no feelings.", "refusal", id="an AI speaks"),
        pytest.param("I can't find my 3 pens. Each box has 4. How many boxes?", None, id="someone who cannot"),
        pytest.param("Find x. " * 60, "repeated loop", id="a loop"),
        pytest.param("Compute 3*4.\nSolution: 3*4 = 12.", "answer leaked", id="a solution"),
        pytest.param(r"Find x if 2x = 6. \boxed{3}", "answer leaked", id="a box"),
        pytest.param("What is 2 + 2? The answer is 4.", "answer leaked", id="the answer is"),
        pytest.param("Find m + n if the answer is $\\frac{m}{n}$ in lowest terms, m > 2.", "answer leaked", id="an answer's form: a known false alarm"),
        pytest.param("What is 12 + 30?\nAnswer:", None, id="a place for the answer"),
        pytest.param("Using the table above, find the mean of y.", "missing data", id="a table that is not there"),
        pytest.param(TABLE + "Using the table above, find the mean of y.", None, id="a table that is there"),
        pytest.param("In the figure, AB = 3. Find the shaded area.", "missing data", id="a figure"),
        pytest.param("Tom has [number] apples and buys 3. How many has he?", "missing data", id="a placeholder"),
        pytest.param("Let p be in $\\mathbb{Z}[x]$ and S = {1, 2}. How many p have values in S?", None, id="brackets of mathematics"),
        pytest.param("Problem 1: What is 2 + 2?\nProblem 2: What is 3 + 3?", "several questions", id="numbered problems"),
        pytest.param("Let f(x) = x^2. (a) Find f(2). (b) Find f(3).", "several questions", id="parts"),
        pytest.param("1. What is 2 + 2?\n2. What is 3 + 5?", "several questions", id="a list"),
        pytest.param("Which is prime? (A) 4 (B) 5 (C) 6", None, id="a choice of answers"),
        pytest.param("Encuentra el valor de x si 3x + 5 = 20.", "not English", id="Spanish"),
        pytest.param("Trouver la valeur de $x$ telle que $2x + 3 = 7$.", "not English", id="French"),
        pytest.param("Wie weit kommt ein Zug mit 80 km/h in 3 Stunden?", "not English", id="German"),
        pytest.param("Найдите значение x, если 2x + 3 = 7.", "not English", id="Russian"),
        pytest.param("求 $x^2 - 5x + 6 = 0$ 的解。", "not English", id="Chinese"),
        pytest.param("Βρείτε την τιμή του x αν 2x + 3 = 7.", "not English", id="Greek"),
        pytest.param("Let $\\alpha$, β be roots of x² − 3x + 1. Find α² + β².", None, id="Greek letters"),
        pytest.param("José buys 3 jalapeños in San José. How many are left of 5?", None, id="names with accents"),
    ],
)  # fmt: skip
def test_a_rule_fires_on_what_it_names(text, reason):
    assert rules.first_broken_rule(text, rules.Limits()) == reason


FOREIGN = [
    pytest.param("Encuentra el valor de x si 3x + 5 = 20.", id="Spanish"),
    pytest.param("Un tren recorre 240 km en 3 horas. ¿Cuál es su velocidad media?", id="Spanish"),
    pytest.param("Resuelve $x^2 - 5x + 6 = 0$.", id="Spanish"),
    pytest.param("Trouver la valeur de $x$ telle que $2x + 3 = 7$.", id="French"),
    pytest.param("Calculer l'aire d'un triangle de base 6 cm et de hauteur 4 cm.", id="French"),
    pytest.param("Combien de diviseurs positifs le nombre 360 possède-t-il ?", id="French"),
    pytest.param("Wie weit kommt ein Zug mit 80 km/h in 3 Stunden?", id="German"),
    pytest.param("Berechne die Summe der ersten 20 natürlichen Zahlen.", id="German"),
    pytest.param("Bestimme alle x mit x^2 - 9 = 0.", id="German"),
    pytest.param("Trova il massimo comune divisore di 48 e 36.", id="Italian"),
    pytest.param("Quanti modi ci sono per disporre 5 libri su uno scaffale?", id="Italian"),
    pytest.param("Qual é o valor de x na equação 2x - 4 = 10?", id="Portuguese"),
    pytest.param("Maria tem 12 laranjas e dá 5 ao irmão. Quantas laranjas sobram?", id="Portuguese"),
    pytest.param("Bereken de oppervlakte van een rechthoek van 5 bij 8 cm.", id="Dutch"),
    pytest.param("Hur många timmar tar det att köra 300 km i 60 km/h?", id="Swedish"),
    pytest.param("Finn summen av de ti første oddetallene.", id="Norwegian"),
    pytest.param("Hvor mange æbler har Peter tilbage, når han giver 3 af 10 væk?", id="Danish"),
    pytest.param("Laske lukujen 12 ja 18 suurin yhteinen tekijä.", id="Finnish"),
    pytest.param("Oblicz pole trójkąta o podstawie 6 i wysokości 4.", id="Polish"),
    pytest.param("Ile jest liczb pierwszych mniejszych od 30?", id="Polish"),
    pytest.param("Kolik je součet čísel od 1 do 100?", id="Czech"),
    pytest.param("Mennyi a 12 és a 18 legnagyobb közös osztója?", id="Hungarian"),
    pytest.param("Care este suma primelor 10 numere naturale?", id="Romanian"),
    pytest.param("Bir dikdörtgenin kenarları 5 ve 8 ise alanı kaçtır?", id="Turkish"),
    pytest.param("Tentukan nilai x yang memenuhi 2x + 5 = 15.", id="Indonesian"),
    pytest.param("Tìm giá trị của x biết 2x + 3 = 11.", id="Vietnamese"),
    pytest.param("Quin és el valor de x si 2x + 4 = 10?", id="Catalan"),
    pytest.param("Найдите значение x, если 2x + 3 = 7.", id="Russian"),
    pytest.param("Сколько простых чисел меньше 50?", id="Russian"),
    pytest.param("Знайдіть площу квадрата зі стороною 7 см.", id="Ukrainian"),
    pytest.param("求 $x^2 - 5x + 6 = 0$ 的解。", id="Chinese"),
    pytest.param("小明有12个苹果，给了小红5个，还剩几个？", id="Chinese"),
    pytest.param("1から100までの整数の和を求めよ。", id="Japanese"),
    pytest.param("두 수 12와 18의 최대공약수를 구하시오.", id="Korean"),
    pytest.param("أوجد قيمة x إذا كان 2x + 3 = 7.", id="Arabic"),
    pytest.param("यदि 2x + 3 = 7 है, तो x का मान ज्ञात कीजिए।", id="Hindi"),
    pytest.param("Βρείτε την τιμή του x αν 2x + 3 = 7.", id="Greek"),
]  # fmt: skip


@pytest.mark.parametrize("text", FOREIGN)
def test_a_problem_in_another_language_is_dropped(text):
    assert rules.first_broken_rule(text, rules.Limits()) == "not English"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("gcd(108, 72) = ?", id="a function's name"),
        pytest.param(r"\[ \lim_{x \to 0} \frac{\sin x}{x} \]", id="a display"),
        pytest.param("x^2 - 5x + 6 = 0", id="an equation"),
        pytest.param("Evaluate $\\sqrt{49}$.", id="one word"),
        pytest.param("Compute 179 omd 5.", id="a typo that is Swedish"),
        pytest.param("A triangle has base 21 and height 4. Find ist area.", id="a typo that is German"),
        pytest.param("Kofi, Amara and Chidi split $90 evenly. How much each?", id="names"),
    ],
)  # fmt: skip
def test_formulas_names_and_typos_are_no_other_language(text):
    assert rules.first_broken_rule(text, rules.Limits()) is None


def test_a_rule_can_be_skipped_and_limits_moved():
    limits = rules.Limits(max_words=4)
    assert rules.first_broken_rule("What is the sum of 2 and 3?", limits) == "too long"
    assert (
        rules.first_broken_rule("What is the sum of 2 and 3?", limits, frozenset(["too long"]))
        is None
    )


def test_sound_problems_pass_the_rules(test_data):
    limits = rules.Limits()
    gsm8k = [row["question"] for row in rows.read(str(test_data / "gsm8k/train.jsonl"))]
    aime = [
        row["problem"]
        for path in sorted((test_data / "aime").glob("*.jsonl"))
        for row in rows.read(str(path))
    ]
    made = [p.question for p in problems.training(3000, "rules")]
    assert sum(rules.first_broken_rule(text, limits) is not None for text in gsm8k) <= 0.005 * 7473
    assert [text for text in aime + made if rules.first_broken_rule(text, limits)] == []


# Benchmarks


def benchmark(tmp_path, questions, column="question", **options) -> contamination.Benchmarks:
    path = tmp_path / "benchmark.jsonl"
    path.write_bytes(b"".join(rows.dumps({"id": 1, column: q}) + b"\n" for q in questions))
    return contamination.Benchmarks(contamination.read_questions(str(path)), **options)


@pytest.fixture(scope="module")
def gsm8k(test_data):
    return [row["question"] for row in rows.read(str(test_data / "gsm8k/test_first400.jsonl"))]


@pytest.mark.parametrize("kind", perturbations.LEAKS)
def test_a_changed_copy_of_a_benchmark_question_is_found(kind, gsm8k, test_data, tmp_path):
    """Thresholds were chosen on the first 200 GSM8K questions; these are the others, and AIME's."""
    aime = [
        row["problem"]
        for path in sorted((test_data / "aime").glob("*.jsonl"))
        for row in rows.read(str(path))
    ]
    for questions in (gsm8k[200:], aime):
        known, rng = benchmark(tmp_path, questions), random.Random(3)
        hits = [known.find(perturbations.LEAKS[kind](q, rng)) for q in questions]
        assert sum(
            h is not None and h.question == q for h, q in zip(hits, questions, strict=True)
        ) >= 0.99 * len(questions)


def test_hardly_a_clean_question_is_taken_for_a_benchmarks(gsm8k, test_data, tmp_path):
    train = [row["question"] for row in rows.read(str(test_data / "gsm8k/train.jsonl"))]
    known = benchmark(tmp_path, gsm8k)
    assert sum(known.find(text) is not None for text in train) <= 0.002 * 7473
    first, *others = (rows.read(str(p)) for p in sorted((test_data / "aime").glob("*.jsonl")))
    known = benchmark(tmp_path, [row["problem"] for row in first], "problem")
    assert [row["problem"] for later in others for row in later if known.find(row["problem"])] == []


ONE_LINERS = (r"Compute $\int_0^1 x^2 dx$", "Find the derivative of f(x)=3x^2", "Solve $x^2 - 5x + 6 = 0$", r"Simplify $\sqrt{245}$",
              "Round $6287215$ to the nearest ten thousand.", "Find the inverse Laplace transform of $F(s)=\\frac{1}{s^2+4}$")  # fmt: skip


@pytest.mark.parametrize(
    "text, found",
    [
        *(pytest.param(q, True, id=f"verbatim: {q}") for q in ONE_LINERS),
        *(pytest.param(f"Solve the following problem:\n{q}\nThink step by step.", True, id=f"wrapped: {q}") for q in ONE_LINERS),
        pytest.param("find the DERIVATIVE of f(x) = 5x^4!", True, id="renumbered"),
        pytest.param("Find the derivative of the function f(x)=3x^2", True, id="words put in"),
        pytest.param("Compute int01 x2 dx", True, id="punctuation lost"),
        pytest.param("Solve 18x + 17 = 17x + 36.", False, id="another equation"),
        pytest.param("Compute the derivative of 2x^3 + 4x at x = 3.", False, id="another derivative"),
        pytest.param("What share of 123 apples are bad, rounded to the nearest percent?", False, id="rounding in passing"),
        pytest.param("", False, id="nothing"),
    ],
)  # fmt: skip
def test_short_questions_are_found_whole(text, found, tmp_path):
    assert (benchmark(tmp_path, ONE_LINERS).find(text) is not None) == found


def test_with_same_numbers_a_renumbered_copy_is_another_problem(tmp_path):
    question = "A train goes 60 miles an hour. How far does it go in 3 hours?"
    for same_numbers, found in ((False, True), (True, False)):
        known = benchmark(tmp_path, [question], same_numbers=same_numbers)
        assert (known.find(question.replace("60", "75")) is not None) == found
        hit = known.find(question.upper())
        assert (
            hit.question == question and hit.score == 1 and hit.place.endswith("benchmark.jsonl:1")
        )


@pytest.mark.parametrize("column", contamination.COLUMNS)
def test_a_benchmarks_question_column_is_found(column, tmp_path):
    assert benchmark(tmp_path, ["What is 12 + 30?"], column).find("what is 12 + 30")


# Rows one at a time


@pytest.mark.parametrize(
    "name, data",
    [
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"instruction": "y"}\n]\n', id="our arrays"),
        pytest.param("a.json", b'\n[\n\n{"instruction": "x"},\r\n{"instruction": "y"}\n\n]', id="blank lines"),
        pytest.param("a.json", b'[{"instruction": "x"}, {"instruction": "y"}]', id="an array on one line"),
        pytest.param("a.json", json.dumps([{"instruction": "x"}, {"instruction": "y"}], indent=1).encode(), id="an indented array"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"instruction":\n"y"}\n]\n', id="an array whose layout changes"),
        pytest.param("a.jsonl", b'{"instruction": "x"}\n\n{"instruction": "y"}', id="lines"),
        pytest.param("a.json", b"[\n]\n", id="an empty array"),
        pytest.param("a.json", b"", id="an empty file"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"instr', id="a torn array"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"instruction": "y"}\n', id="an array without its end"),
        pytest.param("a.json", b'[\n{"instruction": "x"}\n{"instruction": "y"}\n]\n', id="a comma that is not there"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n]\n', id="a comma too much"),
        pytest.param("a.json", b'[\n{"instruction": "x"}\n]\nmore\n', id="more behind the end"),
        pytest.param("a.jsonl", b'{"instruction": "x"}\n{"instr', id="a torn line"),
        pytest.param("a.jsonl", b'{"instruction": "\xff"}\n', id="no UTF-8"),
        pytest.param("a.json", b'[\n{"instruction": "x"},\n{"id": 1}\n]\n', id="a row without the key"),
        pytest.param("a.json", b'[\n{"instruction": ""}\n]\n', id="an empty instruction"),
        pytest.param("a.json", b"[\n1\n]\n", id="not an object"),
        pytest.param("b.json", None, id="no file"),
    ],
)  # fmt: skip
def test_streamed_rows_are_those_read_at_once_or_fail_alike(name, data, tmp_path):
    if data is not None:
        (tmp_path / name).write_bytes(data)

    def outcome(reader):
        try:
            return list(reader(str(tmp_path / name), ("instruction",)))
        except UserError as e:
            return str(e)

    assert outcome(rows.stream) == outcome(rows.read_placed)


def test_streaming_holds_one_row_at_a_time(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(
        b"[\n"
        + b",\n".join(rows.dumps({"instruction": "x" * 1000, "n": n}) for n in range(5000))
        + b"\n]\n"
    )
    tracemalloc.start()
    assert sum(1 for _ in rows.stream(str(path), ("instruction",))) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000  # bytes; the file has 5,100,000


# The version


@pytest.mark.parametrize(
    "module, name, value",
    [
        pytest.param(rules, "RULES", {}, id="no rule"),
        *(pytest.param(rules, "RULES", {k: v for k, v in rules.RULES.items() if k != left_out}, id=f"without {left_out}") for left_out in rules.RULES),
        pytest.param(same_problem, "ALIKE", 0.85, id="least similarity"),
        pytest.param(same_problem, "_DECIDING_WORDS", same_problem._DECIDING_WORDS - {"mean", "median"}, id="deciding words"),
        pytest.param(same_problem, "_TURNING_WORDS", same_problem._TURNING_WORDS - {"not"}, id="turning words"),
        pytest.param(same_problem, "_have_same_places", lambda a, b: True, id="numbers at any place"),
        pytest.param(same_problem, "signs", lambda text: [], id="signs"),
        pytest.param(duplicates, "SHARED", 0.9, id="least share of shingles"),
        pytest.param(cleaning, "normalised", str.lower, id="a repeat"),
        pytest.param(contamination, "ALIKE", 0.97, id="benchmark: least ratio"),
        pytest.param(contamination, "names", lambda text: frozenset(), id="benchmark: names"),
        pytest.param(contamination, "COMMON", 0, id="benchmark: common n-grams"),
        pytest.param(contamination, "CONTAINED", 0.6, id="benchmark: a short question inside"),
    ],
)  # fmt: skip
def test_another_decision_is_another_version(module, name, value, monkeypatch):
    before = cleaning.version()
    monkeypatch.setattr(module, name, value)
    assert cleaning.version() != before


def test_code_that_is_written_otherwise_and_decides_alike_is_the_same_version(tmp_path):
    shutil.copytree(ROOT / "exp/lib", tmp_path / "lib")
    for path in (tmp_path / "lib/quality").glob("*.py"):
        text = path.read_text().replace("import re\n", "# Regular expressions.\nimport re\n\n", 1)
        path.write_text(text + "\n# The end.\n")
    code = "from lib.quality import cleaning; print(cleaning.version())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout.split() == [cleaning.version()], done.stderr


def test_the_version_takes_a_moment():
    cleaning.version()
    started = time.process_time()
    cleaning.version()
    assert time.process_time() - started < 0.2  # 0.06 s; the clock of a busy machine is not exact


def test_the_cases_have_every_outcome():
    outcomes = Counter()
    for case in rows.read(str(cleaning.CASES)):
        outcomes.update(why for why, _, _ in cleaning.decide_case(case))
    assert outcomes.keys() == {None, "in benchmark", "repeat", "near-duplicate", *rules.RULES}
    assert outcomes.total() > 300


# The stage


def array(path, made: list[dict]):
    path.write_bytes(b"[\n" + b",\n".join(map(rows.dumps, made)) + b"\n]\n")
    return path


CLEAN = ["What is the sum of the numbers 17 and 25?", "A box of 4 by 5 by 6 cm is filled with water. How much water is in it?",
         "Find all x with x^2 - 9x + 14 = 0."]  # fmt: skip
LEAKED = "Mia sells 14 cakes for 3 dollars each and gives half of the money to her sister. How much money has Mia left?"
DROPPED = {
    "I'm sorry, I can't help with that.": "refusal",
    "What is the sum of the  numbers 17 and 25?": "repeat",
    "What is the sum of these numbers, 17 and 25?": "near-duplicate",
    LEAKED.replace("14", "26").replace("Mia", "Ada"): "in benchmark",
    "Ada really sells 26 cakes for 3 dollars each and gives half of the money to her sister. How much money has Ada left?": "in benchmark",
    "Look at the figure below and find x if y is 3.": "missing data",
}  # fmt: skip


def test_rows_in_are_rows_out_and_dropped_with_reason_partner_and_score(tmp_path):
    made = [{"instruction": q, "responses": [q[::-1]], "score": n} for n, q in enumerate(CLEAN)]
    made += [{"instruction": q, "id": str(n)} for n, q in enumerate(DROPPED)]
    first, second = array(tmp_path / "a.json", made[:5]), tmp_path / "b.jsonl"
    second.write_bytes(b"".join(rows.dumps(row) + b"\n" for row in made[5:]))
    exam = tmp_path / "exam.jsonl"
    exam.write_bytes(rows.dumps({"problem": LEAKED}) + b"\n")
    flags = (
        "--ins_data_path",
        f"{first},{second}",
        "--save_path",
        tmp_path / "o.json",
        "--benchmarks",
        exam,
    )
    done = stage("clean_ins", *flags, "--audit", 4, env={"COLUMNS": "160"})
    assert done.returncode == 0, done.stderr
    assert rows.read(str(tmp_path / "o.json")) == made[:3]
    dropped = rows.read(str(tmp_path / "o.json.dropped.jsonl"))
    assert {row["instruction"]: row["why"] for row in dropped} == DROPPED
    by_why = {row["why"]: row for row in dropped}
    assert by_why["refusal"]["partner"] is None and by_why["refusal"]["score"] is None
    assert by_why["near-duplicate"]["partner"] == {"place": f"{first}:2", "instruction": CLEAN[0]}
    assert 0.7 <= by_why["near-duplicate"]["score"] < 1 and by_why["repeat"]["score"] == 1
    assert by_why["in benchmark"]["partner"] == {"place": f"{exam}:1", "instruction": LEAKED}
    assert by_why["missing data"]["place"] == f"{second}:4"
    last = "3 rows, 6 dropped (2 in benchmark, 1 missing data, 1 near-duplicate, 1 refusal, 1 repeat), "
    assert last in done.stderr.splitlines()[-1]
    assert (
        "near-duplicate, 0.9" in done.stdout
        and CLEAN[0] in done.stdout
        and done.stdout.count("alike") == 3
    )
    before = (tmp_path / "o.json").read_bytes()
    again = stage("clean_ins", *flags, "--audit", 1)
    assert again.returncode == 0 and again.stderr.endswith("nothing to do\n") and again.stdout
    assert (tmp_path / "o.json").read_bytes() == before
    other = stage("clean_ins", *flags, "--max_words", 50)
    assert other.returncode == 2 and "o.json was made with max_words 1000, now 50" in other.stderr
    fewer = stage("clean_ins", *flags[:4])
    assert fewer.returncode == 2 and "o.json was made with benchmarks 1, now 0" in fewer.stderr


@pytest.mark.parametrize(
    "flags, says",
    [
        pytest.param(["--ins_data_path", "none.json"], "none.json: No such file or directory", id="no input"),
        pytest.param(["--benchmarks", "none.jsonl"], "none.jsonl: No such file or directory", id="no benchmark"),
        pytest.param(["--benchmarks", "a.json,x.jsonl"], "x.jsonl:1: no question; expected one of question, problem, instruction, prompt (has: id, text)", id="a benchmark without questions"),
        pytest.param(["--ins_data_path", "x.jsonl"], "x.jsonl:1: no key 'instruction' (has: id, text)", id="no instruction"),
        pytest.param(["--ins_data_path", "a.json,b.json"], "b.json:3: torn or not JSON", id="a torn row far on"),
        pytest.param(["--min_words", "5", "--max_words", "4"], "--min_words 5 --max_words 4: nothing lies between them", id="limits that leave nothing"),
        pytest.param(["--max_chars", "-1"], "--min_chars 8 --max_chars -1: nothing lies between them", id="a limit below zero"),
        pytest.param(["--ins_data_path", " , "], "--ins_data_path ' , ': at least one file", id="no file"),
        pytest.param(["--audit", "-1"], "--audit -1: a number of rows", id="fewer rows than none"),
        pytest.param(["--skip_rules", "too shorty"], "--skip_rules: no rule 'too shorty'; did you mean 'too short' or", id="no such rule"),
        pytest.param(["--min_words", "90"], "o.json: no row is left: 3 dropped (3 too short); nothing is written", id="no row is left"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_written(flags, says, tmp_path):
    array(tmp_path / "a.json", [{"instruction": "What is x"}] * 3)
    (tmp_path / "x.jsonl").write_text('{"id": 1, "text": "a"}\n')
    (tmp_path / "b.json").write_text('[\n{"instruction": "x"},\n{"instr')
    before = sorted(p.name for p in tmp_path.iterdir())
    given = {"--ins_data_path": "a.json", "--save_path": "o.json"} | dict(
        zip(flags[::2], flags[1::2], strict=True)
    )
    done = stage("clean_ins", *(word for pair in given.items() for word in pair), cwd=tmp_path)
    *_, last = done.stderr.splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""
    assert last.startswith("clean_ins: error: ") and says in last
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.slow
def test_killed_at_any_point_and_called_again_it_ends_in_the_same_bytes(tmp_path):
    rng = random.Random(5)
    source = array(
        tmp_path / "in.json", [{"instruction": t} for t, _ in planted(distinct(5000, "kill"), rng)]
    )
    exam = array(tmp_path / "exam.json", [{"question": p.question} for p in problems.fresh(60, 1)])
    flags = [
        "--ins_data_path",
        str(source),
        "--benchmarks",
        str(exam),
        "--same_numbers",
        "--save_path",
    ]
    assert stage("clean_ins", *flags, tmp_path / "quiet.json").returncode == 0
    path, part, workers = tmp_path / "o.json", tmp_path / "o.json.part", []
    for least in (1, 2000, 4000):
        process = subprocess.Popen(
            [sys.executable, ROOT / "exp/clean_ins.py", *flags, path], stderr=subprocess.DEVNULL
        )
        while process.poll() is None and (
            not part.exists() or part.read_bytes().count(b"\n") < least
        ):
            time.sleep(0.005)
        workers += Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not path.exists() and part.read_bytes().count(b"\n") >= least
    done = stage("clean_ins", *flags, path)
    assert done.returncode == 0, done.stderr
    for suffix in ("", ".dropped.jsonl"):
        assert (tmp_path / f"o.json{suffix}").read_bytes() == (
            tmp_path / f"quiet.json{suffix}"
        ).read_bytes()
    assert len(workers) >= 3
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not list(filter(is_alive, workers))  # they end with their parent


def is_alive(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
