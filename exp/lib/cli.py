"""The command line of a stage: flags are the parameters of its typed `main`, `--config` fills them, errors are one line.

argparse is built from the signature: a `str` stays the string that was typed, and nothing is guessed from its looks.
"""

import argparse
import difflib
import inspect
import signal
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path

SHORTFALL = 3  # exit code: the input was fine, but fewer rows than asked for could be made


class UserError(Exception):
    """A mistake that the user can mend: shown as one line on stderr, exit 2."""


class Shortfall(Exception):
    """Less could be made than was asked for: one line on stderr, exit 3."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise UserError(message)


def stage_name() -> str:
    """`gen_res` for `python exp/gen_res.py`."""
    return Path(sys.argv[0]).stem


def say(message: str) -> None:
    """One line on stderr under the stage's name; data never goes there, and never anything else to stdout."""
    print(f"{stage_name()}: {message}", file=sys.stderr, flush=True)


def near(word: str, known: typing.Iterable[object]) -> str:
    """A hint for an unknown word: `did you mean 'algebra'?`, or the whole list where nothing is close."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(word), known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(known)}"


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")
    return words[text.lower()]


def _kind(annotation: object) -> type:
    """The type to parse with: of `int | None` it is int."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = [a for a in typing.get_args(annotation) if a is not type(None)]
    if annotation not in (str, int, float, bool):
        raise TypeError(f"main() takes str, int, float and bool parameters, not {annotation}")
    return annotation


def build_parser(main: Callable) -> argparse.ArgumentParser:
    """The parser for a stage's `main`: one `--flag` a parameter, required where it has no default."""
    doc = inspect.getdoc(sys.modules[main.__module__]) or ""
    form = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog=stage_name(), description=doc, formatter_class=form, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help="YAML whose keys are the flags below; a typed flag wins")
    for name, p in inspect.signature(main).parameters.items():
        kind, required = _kind(p.annotation), p.default is p.empty
        note = "required" if required else f"default: {'none' if p.default in (None, '') else p.default}"
        extra = {"nargs": "?", "const": True, "metavar": "BOOL"} if kind is bool else {"metavar": kind.__name__.upper()}
        default = argparse.SUPPRESS
        parser.add_argument(f"--{name}", type=_boolean if kind is bool else kind, default=default, help=note, **extra)
    return parser


def parse(main: Callable, argv: list[str]) -> dict:
    """The arguments for `main` from the command line and its `--config`; UserError names what is unknown or missing."""
    parser = build_parser(main)
    params = inspect.signature(main).parameters
    typed, unknown = parser.parse_known_args(argv)
    if unknown:
        flag = unknown[0].split("=")[0]
        hint = near(flag.lstrip("-"), params)
        raise UserError(f"unknown {'flag' if flag.startswith('-') else 'argument'} {flag!r}; {hint}; see --help")
    given = vars(typed)
    config = given.pop("config", None)
    if config:
        given = _read_config(config, parser, params) | given
    missing = [name for name, p in params.items() if p.default is p.empty and name not in given]
    if missing:
        raise UserError(f"missing --{missing[0]}" + "".join(f", --{m}" for m in missing[1:]) + "; see --help")
    return given


def _read_config(path: str, parser: argparse.ArgumentParser, params: typing.Mapping) -> dict:
    import yaml

    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}") from None
    except yaml.YAMLError as e:
        raise UserError(f"{path}: not YAML: {' '.join(str(e).split())}") from None
    if not isinstance(settings, dict):
        raise UserError(f"{path}: expected 'flag: value' lines, found a {type(settings).__name__}")
    for key in settings:
        if key not in params:
            raise UserError(f"{path}: unknown key {key!r}; {near(str(key), params)}")
    # Through the same parser, so that a value in the file is checked as a typed one is.
    words = [f"--{key}={value}" for key, value in settings.items() if value is not None]
    return {k: v for k, v in vars(parser.parse_args(words)).items() if k != "config"}


def run(main: Callable) -> typing.NoReturn:
    """Parse, call, and turn every foreseen end into one line and an exit code (2 mistake, 3 shortfall, 130 Ctrl-C)."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main(**parse(main, sys.argv[1:]))
        code = 0
    except UserError as e:
        say(f"error: {e}")
        code = 2
    except Shortfall as e:
        say(f"error: {e}")
        code = SHORTFALL
    except OSError as e:
        if e.errno is None:
            raise
        say(f"error: {e.filename or 'file'}: {e.strerror}; finished rows are kept, run the same command to go on")
        code = 2
    except KeyboardInterrupt:
        say("interrupted; finished rows are kept, run the same command to go on")
        code = 130
    sys.stdout.flush()
    sys.exit(code)


def _terminate(signum: int, frame: object) -> typing.NoReturn:
    raise KeyboardInterrupt
