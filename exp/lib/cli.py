"""The command line of a stage: flags are the parameters of its typed `main`, `--config` fills them.

A parameter whose type is a dataclass stands for all its fields, so that flags which belong together
(`Sampling`, `Where`, `Lora`) are declared and checked once. `fire` reads the flags and calls each
one's parse function. What fire would guess or accept silently is settled before it runs, in
`_as_assignments`: unknown and abbreviated flags, positional words, flags without a value.
"""

import dataclasses
import inspect
import signal
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib.errors import Shortfall, UserError, near
from lib.progress import say, stage_name

USER_ERROR, SHORTFALL, INTERRUPTED = 2, 3, 130  # exit codes
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Flag:
    """One flag: its type, its default, and the parameter of `main` that it belongs to."""

    name: str
    kind: type
    default: typing.Any
    parameter: str
    alias: str = ""  # an older name that is still accepted

    def parse(self, text: str) -> typing.Any:
        """The value that was typed; UserError if it is not of this flag's type."""
        if self.kind is str:
            return text
        if self.kind is bool:
            return _boolean(self.name, text)
        try:
            return self.kind(text)
        except ValueError:
            raise UserError(
                f"--{self.name}: invalid {self.kind.__name__} value: {text!r}"
            ) from None


def run(main: Callable) -> typing.NoReturn:
    """Parse, call `main`, and turn every foreseen end into one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        main(**parse(main, sys.argv[1:]))
        code = 0
    except UserError as e:
        say(f"error: {e}")
        code = USER_ERROR
    except Shortfall as e:
        say(f"error: {e}")
        code = SHORTFALL
    except OSError as e:
        if e.errno is None:
            raise
        where = e.filename or "file"
        say(f"error: {where}: {e.strerror}; finished rows are kept, run the same command to go on")
        code = USER_ERROR
    except KeyboardInterrupt:
        say("interrupted; finished rows are kept, run the same command to go on")
        code = INTERRUPTED
    sys.stdout.flush()
    sys.exit(code)


def parse(main: Callable, argv: list[str]) -> dict[str, typing.Any]:
    """The arguments for `main` from its flags and `--config`; UserError names the first mistake."""
    flags = flags_of(main)
    if "--help" in argv or "-h" in argv:
        print(help_text(main, flags))
        sys.exit(0)
    assignments = _as_assignments(argv, flags)
    typed = _read_with_fire(assignments, flags)
    config = typed.pop("config", None)
    if config is not None:
        typed = _read_config(config, flags) | typed
    missing = [flag.name for flag in flags.values() if flag.default is REQUIRED]
    missing = [f"--{name}" for name in missing if name not in typed]
    if missing:
        raise UserError(f"missing {', '.join(missing)}; see --help")
    return _arguments(main, flags, typed)


def flags_of(main: Callable) -> dict[str, Flag]:
    """The flags of a stage by name, in the order of `main`'s parameters, groups flattened."""
    flags = {}
    for parameter in inspect.signature(main).parameters.values():
        if dataclasses.is_dataclass(parameter.annotation):
            members = _group_flags(parameter)
        else:
            kind = _kind(parameter.annotation)
            members = [Flag(parameter.name, kind, parameter.default, parameter.name)]
        for flag in members:
            if flag.name in flags:
                raise TypeError(f"--{flag.name} is declared twice")
            flags[flag.name] = flag
    return flags


def help_text(main: Callable, flags: dict[str, Flag]) -> str:
    """The stage's docstring, then a line for each flag with its type and default."""
    lines = [inspect.getdoc(sys.modules[main.__module__]) or "", "", "flags:"]
    lines.append(
        "  --config FILE".ljust(32) + "YAML whose keys are the flags below; a typed flag wins"
    )
    for flag in flags.values():
        if flag.default is REQUIRED:
            note = "required"
        elif flag.default in (None, ""):
            note = "default: none"
        else:
            note = f"default: {flag.default}"
        lines.append(f"  --{flag.name} {flag.kind.__name__.upper()}".ljust(32) + note)
    return "\n".join(lines)


def comma_list(text: str) -> list[str]:
    """The words of `a, b,c`, without the blanks around them; no empty ones."""
    words = [word.strip() for word in text.split(",")]
    return [word for word in words if word]


def _group_flags(parameter: inspect.Parameter) -> list[Flag]:
    """One flag for each field of a dataclass parameter; the parameter's default sets theirs."""
    flags = []
    for field in dataclasses.fields(parameter.annotation):
        if parameter.default is not REQUIRED:
            default = getattr(parameter.default, field.name)
        elif field.default is not dataclasses.MISSING:
            default = field.default
        else:
            default = REQUIRED
        alias = field.metadata.get("alias", "")
        flags.append(Flag(field.name, _kind(field.type), default, parameter.name, alias))
    return flags


def _kind(annotation: typing.Any) -> type:
    """The type that a flag is parsed with: int for `int | None`."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = [a for a in typing.get_args(annotation) if a is not types.NoneType]
    if annotation not in (str, int, float, bool):
        raise TypeError(f"a flag is a str, int, float or bool, not {annotation}")
    return annotation


def _boolean(name: str, text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise UserError(f"--{name}: expected true or false, not {text!r}")
    return words[text.lower()]


def _as_assignments(argv: list[str], flags: dict[str, Flag]) -> list[str]:
    """The command line as `--name=value` words, in which nothing is left for fire to guess.

    fire alone takes a stray word as a positional argument, `-m x` for the only flag that begins
    with m, a text flag without a value as 'True', and `--` as the start of its own flags.
    """
    known = {"config": "config"} | {name: name for name in flags}
    known |= {flag.alias: flag.name for flag in flags.values() if flag.alias}
    assignments = []
    words = iter(range(len(argv)))
    for position in words:
        word, has_value, value = argv[position].partition("=")
        name = known.get(word.removeprefix("--").replace("-", "_"))
        if not word.startswith("--") or name is None:
            kind = "flag" if word.startswith("-") else "argument"
            hint = near(word.lstrip("-").replace("-", "_"), flags)
            raise UserError(f"unknown {kind} {word!r}; {hint}; see --help")
        if not has_value:
            following = argv[position + 1] if position + 1 < len(argv) else "--"
            if not following.startswith("--"):
                value = following
                next(words)
            elif name != "config" and flags[name].kind is bool:
                value = "true"
            else:
                raise UserError(f"--{name} needs a value")
        assignments.append(f"--{name}={value}")
    return assignments


def _read_with_fire(assignments: list[str], flags: dict[str, Flag]) -> dict[str, typing.Any]:
    """The flags that were typed, each through its own parse function."""
    import fire
    from fire.decorators import SetParseFns

    typed = {}

    def collect(**values: typing.Any) -> None:
        typed.update(values)

    collect = SetParseFns(**{flag.name: flag.parse for flag in flags.values()}, config=str)(collect)
    fire.Fire(collect, command=assignments, name=stage_name())
    return typed


def _read_config(path: str, flags: dict[str, Flag]) -> dict[str, typing.Any]:
    """The flags that a YAML file sets, parsed as if they had been typed."""
    import yaml

    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: not YAML: {' '.join(str(e).split())}") from None
    if not isinstance(settings, dict):
        kind = type(settings).__name__
        raise UserError(f"{path}: expected 'flag: value' lines, found a {kind}")
    for key in settings:
        if key not in flags:
            raise UserError(f"{path}: unknown key {key!r}; {near(str(key), flags)}")
    return {k: flags[k].parse(str(v)) for k, v in settings.items() if v is not None}


def _arguments(main: Callable, flags: dict[str, Flag], typed: dict) -> dict[str, typing.Any]:
    """What `main` is called with: the typed values, and every group built from its flags."""
    arguments = {}
    for parameter in inspect.signature(main).parameters.values():
        if dataclasses.is_dataclass(parameter.annotation):
            group = [flag for flag in flags.values() if flag.parameter == parameter.name]
            values = {flag.name: typed.get(flag.name, flag.default) for flag in group}
            arguments[parameter.name] = parameter.annotation(**values)
        elif parameter.name in typed:
            arguments[parameter.name] = typed[parameter.name]
    return arguments


def _interrupt(signum: int, frame: types.FrameType | None) -> typing.NoReturn:
    raise KeyboardInterrupt
