"""The command line of a stage: flags are the parameters of its typed `main`, `--config` fills them.

A parameter whose type is a dataclass stands for all its fields, so that flags which belong together
(`Sampling`, `Where`, `Lora`) are declared and checked once. `fire` reads the flags and calls each
one's parse function. What fire would guess or accept silently is settled before it runs, in
`_as_assignments`: unknown and abbreviated flags, positional words, flags without a value.
"""

import dataclasses
import inspect
import re
import signal
import sys
import types
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib.errors import Shortfall, UserError, near, one_line
from lib.progress import say, stage_name

USER_ERROR, SHORTFALL, INTERRUPTED = 2, 3, 130  # exit codes
HELP_INDENT = 32  # the column at which --help explains a flag: behind the longest names
GO_ON = "finished rows are kept, run the same command to go on"
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Flag:
    """One flag: its type, its default, and the parameter of `main` that it belongs to."""

    name: str
    kind: type
    default: typing.Any
    parameter: str
    alias: str = ""  # an older name that is still accepted

    def parse(self, typed_value: str) -> typing.Any:
        """The value that was typed; UserError if it is not of this flag's type."""
        if self.kind is str:
            return typed_value
        if self.kind is bool:
            return _boolean(self.name, typed_value)
        try:
            return self.kind(typed_value)
        except ValueError:
            expected = f"invalid {self.kind.__name__} value"
            raise UserError(f"--{self.name}: {expected}: {typed_value!r}") from None


def run(main: Callable) -> typing.NoReturn:
    """Parse, call `main`, and turn every foreseen end into one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        arguments = parse(main, sys.argv[1:])
        main(**arguments)
        exit_code = 0
    except UserError as e:
        say(f"error: {e}")
        exit_code = USER_ERROR
    except Shortfall as e:
        say(f"error: {e}")
        exit_code = SHORTFALL
    except OSError as e:
        if e.errno is None:  # a library's own OSError("message"): a bug, not a file that is missing
            raise
        file_name = e.filename or "file"
        say(f"error: {file_name}: {e.strerror}; {GO_ON}")
        exit_code = USER_ERROR
    except KeyboardInterrupt:
        say(f"interrupted; {GO_ON}")
        exit_code = INTERRUPTED
    sys.stdout.flush()
    sys.exit(exit_code)


def parse(main: Callable, argv: list[str]) -> dict[str, typing.Any]:
    """The arguments for `main` from its flags and `--config`; UserError names the first mistake."""
    flags = flags_of(main)
    if "--help" in argv or "-h" in argv:
        print(help_text(main, flags))
        sys.exit(0)
    assignments = _as_assignments(argv, flags)
    typed = _read_with_fire(assignments, flags)
    config = typed.pop("config", None)
    if config:
        typed = _read_config(config, flags) | typed
    missing_flags = []
    for flag in flags.values():
        if flag.default is REQUIRED and flag.name not in typed:
            missing_flags.append(f"--{flag.name}")
    if missing_flags:
        raise UserError(f"missing {', '.join(missing_flags)}; see --help")
    return _arguments(main, flags, typed)


def flags_of(main: Callable) -> dict[str, Flag]:
    """The flags of a stage by name, in the order of `main`'s parameters, groups flattened."""
    flags = {}
    for parameter in inspect.signature(main).parameters.values():
        if dataclasses.is_dataclass(parameter.annotation):
            parameter_flags = _group_flags(parameter)
        else:
            kind = _kind(parameter.annotation)
            flag = Flag(parameter.name, kind, parameter.default, parameter.name)
            parameter_flags = [flag]
        for flag in parameter_flags:
            if flag.name in flags:
                raise TypeError(f"--{flag.name} is declared twice")
            flags[flag.name] = flag
    return flags


def help_text(main: Callable, flags: dict[str, Flag]) -> str:
    """The stage's docstring, then a line for each flag with its type and default."""
    stage_docstring = inspect.getdoc(sys.modules[main.__module__]) or ""
    config_note = "YAML whose keys are the flags below; a typed flag wins"
    lines = [stage_docstring, "", "flags:"]
    lines.append("  --config FILE".ljust(HELP_INDENT) + config_note)
    for flag in flags.values():
        if flag.default is REQUIRED:
            note = "required"
        elif flag.default in (None, ""):
            note = "default: none"
        else:
            note = f"default: {flag.default}"
        flag_and_type = f"  --{flag.name} {flag.kind.__name__.upper()}"
        lines.append(flag_and_type.ljust(HELP_INDENT) + note)
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
        members = typing.get_args(annotation)
        (annotation,) = [member for member in members if member is not types.NoneType]
    if annotation not in (str, int, float, bool):
        raise TypeError(f"a flag is a str, int, float or bool, not {annotation}")
    return annotation


def _boolean(flag_name: str, typed_value: str) -> bool:
    word = typed_value.lower()
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no"):
        return False
    raise UserError(f"--{flag_name}: expected true or false, not {typed_value!r}")


def _as_assignments(argv: list[str], flags: dict[str, Flag]) -> list[str]:
    """The command line as `--name=value` words, in which nothing is left for fire to guess.

    fire alone takes a stray word as a positional argument, `-m x` for the only flag that begins
    with m, a text flag without a value as 'True', and `--` as the start of its own flags.
    """
    assignments = []
    words = deque(argv)
    while words:
        word, has_value, value = words.popleft().partition("=")
        name = _known_name(word, flags)
        if not has_value:
            is_switch = name != "config" and flags[name].kind is bool
            if words and not re.match(r"--(\w|$)", words[0]):
                value = words.popleft()
            elif is_switch:
                value = "true"
            else:
                raise UserError(f"--{name} needs a value")
        assignments.append(f"--{name}={value}")
    return assignments


def _known_name(word: str, flags: dict[str, Flag]) -> str:
    """The flag that a word of the command line names; UserError if there is none."""
    typed_name = word.lstrip("-").replace("-", "_")
    name = "config" if typed_name == "config" else _without_alias(typed_name, flags)
    if not word.startswith("--") or name is None:
        kind = "flag" if word.startswith("-") else "argument"
        raise UserError(f"unknown {kind} {word!r}; {near(typed_name, flags)}; see --help")
    return name


def _without_alias(typed_name: str, flags: dict[str, Flag]) -> str | None:
    """The flag of that name, or whose older name it is; None if there is none."""
    if typed_name in flags:
        return typed_name
    for flag in flags.values():
        if flag.alias and flag.alias == typed_name:
            return flag.name
    return None


def _read_with_fire(assignments: list[str], flags: dict[str, Flag]) -> dict[str, typing.Any]:
    """The flags that were typed, each through its own parse function."""
    import fire
    from fire.decorators import SetParseFns

    typed = {}

    def collect(**values: typing.Any) -> None:
        typed.update(values)

    parse_functions = {flag.name: flag.parse for flag in flags.values()}
    collect = SetParseFns(**parse_functions, config=str)(collect)
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
        raise UserError(f"{path}: not YAML: {one_line(e)}") from None
    if not isinstance(settings, dict):
        kind = type(settings).__name__
        raise UserError(f"{path}: expected 'flag: value' lines, found a {kind}")
    values = {}
    for key, setting in settings.items():
        name = _without_alias(str(key), flags)
        if name is None:
            raise UserError(f"{path}: unknown key {key!r}; {near(str(key), flags)}")
        if setting is not None:
            values[name] = flags[name].parse(str(setting))
    return values


def _arguments(main: Callable, flags: dict[str, Flag], typed: dict) -> dict[str, typing.Any]:
    """What `main` is called with: the typed values, and every group built from its flags."""
    arguments = {}
    for parameter in inspect.signature(main).parameters.values():
        if dataclasses.is_dataclass(parameter.annotation):
            members = {}
            for flag in flags.values():
                if flag.parameter == parameter.name:
                    members[flag.name] = typed.get(flag.name, flag.default)
            arguments[parameter.name] = parameter.annotation(**members)
        elif parameter.name in typed:
            arguments[parameter.name] = typed[parameter.name]
    return arguments


def _interrupt(signal_number: int, frame: types.FrameType | None) -> typing.NoReturn:
    raise KeyboardInterrupt
