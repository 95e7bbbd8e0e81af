"""Flags from a typed main and its groups, --config, and one-line errors."""

from dataclasses import dataclass, field

import pytest

from lib import cli
from lib.errors import UserError


@dataclass(frozen=True)
class Speed:
    """A group of flags, as Sampling or Where."""

    rate: float
    limit: int | None = field(default=None, metadata={"alias": "bound"})

    def __post_init__(self):
        if self.rate < 0:
            raise UserError(f"--rate {self.rate} is out of range")


def main(path: str, count: int = 3, rate: float | None = None, fast: bool = False):
    """A stage for these tests."""


def grouped(path: str, speed: Speed = Speed(rate=0.5), note: str = ""):
    """A stage whose flags come in a group."""


@pytest.mark.parametrize(
    "typed, expected",
    [
        pytest.param(
            ["--path", "a,b"],
            {"path": "a,b"},
            id="a comma stays in the string: fire alone makes a tuple",
        ),
        pytest.param(
            ["--path=007"], {"path": "007"}, id="digits stay a string: fire alone makes 7"
        ),
        pytest.param(["--path", "None"], {"path": "None"}, id="None stays a string"),
        pytest.param(["--path", "{1: 2}"], {"path": "{1: 2}"}, id="braces stay a string"),
        pytest.param(
            ["--path", "-"], {"path": "-"}, id="a dash is a value: to fire alone it ends a command"
        ),
        pytest.param(["--path", ""], {"path": ""}, id="an empty string is a value"),
        pytest.param(["--path=a=b"], {"path": "a=b"}, id="an equals sign stays in the value"),
        pytest.param(
            ["--path", "[1]", "--count", "-1"],
            {"path": "[1]", "count": -1},
            id="a negative number is a value",
        ),
        pytest.param(
            ["--path", "x", "--fast"], {"path": "x", "fast": True}, id="a bare flag is true"
        ),
        pytest.param(
            ["--path", "x", "--fast", "False"], {"path": "x", "fast": False}, id="False is false"
        ),
        pytest.param(
            ["--path", "x", "--rate", "0.5"],
            {"path": "x", "rate": 0.5},
            id="the type of an optional float",
        ),
    ],
)
def test_flags_are_parsed_by_the_types_of_main(typed, expected):
    assert cli.parse(main, typed) == expected


@pytest.mark.parametrize(
    "typed, says",
    [
        pytest.param([], "missing --path", id="a required flag"),
        pytest.param(["--path", "x", "--cuont", "1"], "did you mean 'count'", id="a misspelt flag"),
        pytest.param(
            ["--path", "x", "--coun", "1"],
            "did you mean 'count'",
            id="an abbreviation is not taken",
        ),
        pytest.param(
            ["--path", "x", "-c", "1"],
            "unknown flag '-c'",
            id="nor a single letter, which fire alone takes",
        ),
        pytest.param(
            ["--path", "x", "--nofast"],
            "did you mean 'fast'",
            id="nor --noflag, another of fire's own forms",
        ),
        pytest.param(
            ["--path", "x", "--", "--interactive"],
            "unknown flag '--'",
            id="fire's own flags are closed",
        ),
        pytest.param(
            ["x"],
            "unknown argument 'x'",
            id="a positional argument, which fire alone takes for --path",
        ),
        pytest.param(
            ["--path"], "--path needs a value", id="a flag without its value: fire alone reads True"
        ),
        pytest.param(
            ["--path", "--count", "1"], "--path needs a value", id="a flag followed by another flag"
        ),
        pytest.param(
            ["--path", "x", "--count", "3.5"],
            "invalid int value: '3.5'",
            id="a fraction for a count",
        ),
        pytest.param(
            ["--path", "x", "--fast", "maybe"],
            "expected true or false",
            id="neither true nor false",
        ),
    ],
)
def test_a_mistake_is_one_line(typed, says):
    with pytest.raises(UserError, match=says) as e:
        cli.parse(main, typed)
    assert "\n" not in str(e.value)


def test_hyphens_are_as_good_as_underscores():
    def stage(save_path: str, max_tokens: int = 1):
        """A stage with two words in a flag."""

    assert cli.parse(stage, ["--save-path", "a-b", "--max-tokens=5"]) == {
        "save_path": "a-b",
        "max_tokens": 5,
    }


def test_a_group_of_flags_is_flattened_filled_and_checked_once():
    assert list(cli.flags_of(grouped)) == ["path", "rate", "limit", "note"]
    assert cli.parse(grouped, ["--path", "x"])["speed"] == Speed(0.5)
    assert cli.parse(grouped, ["--path", "x", "--rate", "2", "--limit", "7"])["speed"] == Speed(
        2.0, 7
    )
    assert cli.parse(grouped, ["--path", "x", "--bound", "7"])["speed"].limit == 7  # the older name
    with pytest.raises(UserError, match="--rate -1.0 is out of range"):
        cli.parse(grouped, ["--path", "x", "--rate", "-1"])


def test_the_same_flag_in_two_groups_is_a_mistake_of_the_stage():
    def stage(one: Speed = Speed(1.0), two: Speed = Speed(2.0)):
        """A stage that declares --rate twice."""

    with pytest.raises(TypeError, match="--rate is declared twice"):
        cli.flags_of(stage)


def test_help_shows_every_flag_with_its_default():
    text = cli.help_text(grouped, cli.flags_of(grouped))
    lines = [line.split() for line in text.splitlines() if line.startswith("  --")]
    assert [line[0] for line in lines] == ["--config", "--path", "--rate", "--limit", "--note"]
    assert lines[1][2:] == ["required"] and lines[2][2:] == ["default:", "0.5"]


def test_a_config_fills_flags_and_a_typed_flag_wins(tmp_path):
    config = tmp_path / "a b.yaml"
    config.write_text("path: a,b\ncount: 7\n")
    assert cli.parse(main, ["--config", str(config), "--count", "8"]) == {"path": "a,b", "count": 8}
    config.write_text("path: x\nrate: 0.25\n")
    assert cli.parse(grouped, ["--config", str(config)])["speed"] == Speed(0.25)


@pytest.mark.parametrize(
    "text, says",
    [
        pytest.param("cuont: 7", "unknown key 'cuont'; did you mean 'count'", id="unknown key"),
        pytest.param("count: seven", "invalid int value", id="wrong type"),
        pytest.param("- 1", "expected 'flag: value' lines", id="a list"),
        pytest.param("a: [", "not YAML", id="torn YAML"),
    ],
)
def test_a_bad_config_is_one_line(tmp_path, text, says):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        cli.parse(main, ["--path", "x", "--config", str(tmp_path / "c.yaml")])


@pytest.mark.parametrize(
    "text, words",
    [("a, b,c", ["a", "b", "c"]), ("", []), (" , ", []), ("one", ["one"])],
    ids=["blanks", "nothing", "only commas", "a single word"],
)
def test_a_comma_list_has_no_blanks_and_no_empty_words(text, words):
    assert cli.comma_list(text) == words


def test_a_config_may_use_the_older_name_of_a_flag_and_an_empty_one_is_none(tmp_path):
    (tmp_path / "c.yaml").write_text("path: x\nbound: 7\n")
    assert cli.parse(grouped, ["--config", str(tmp_path / "c.yaml")])["speed"].limit == 7
    assert cli.parse(main, ["--config=", "--path", "x"]) == {"path": "x"}


def test_a_value_may_begin_with_dashes_if_it_cannot_be_a_flag():
    assert cli.parse(main, ["--path", "-- a b"]) == {"path": "-- a b"}
