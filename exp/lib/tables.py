"""How figures are shown: Markdown tables that also read well on a terminal, and shares in percent."""


def markdown(columns: dict[str, list[str]]) -> list[str]:
    """The lines of a table of equally wide cells, the first column to the left, the others to the right."""
    cells = [[text.replace("|", "\\|") for text in (head, *column)] for head, column in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    rule = ["-" * (w - bool(n)) + ":" * bool(n) for n, w in enumerate(widths)]
    lines = [[c.rjust(w) if n else c.ljust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True))]
             for line in zip(*cells, strict=True)]  # fmt: skip
    return ["| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]]]


def percent(part: float | None, whole: float = 1) -> str:
    """`part` of `whole` as `12.5%`; a dash where there is no figure."""
    return "–" if part is None else f"{part / whole:.1%}"
