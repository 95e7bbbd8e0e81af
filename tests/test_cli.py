"""Flags from a typed main, --config, and one-line errors."""

import pytest

from lib import cli
from lib.errors import UserError


def main(path: str, count: int = 3, rate: float | None = None, fast: bool = False):
    """A stage for these tests."""


@pytest.mark.parametrize(
    "typed, expected",
    [
        pytest.param(["--path", "a,b"], {"path": "a,b"}, id="a comma stays in the string"),
        pytest.param(["--path=007"], {"path": "007"}, id="digits stay a string"),
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
        pytest.param(["x"], "unknown argument 'x'", id="a positional argument"),
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


def test_a_config_fills_flags_and_a_typed_flag_wins(tmp_path):
    config = tmp_path / "a b.yaml"
    config.write_text("path: a,b\ncount: 7\n")
    assert cli.parse(main, ["--config", str(config), "--count", "8"]) == {"path": "a,b", "count": 8}


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
