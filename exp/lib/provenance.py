"""Where a file comes from: the meta files beside it and beside its inputs, back to the stage that had none."""

import json
from collections import Counter
from pathlib import Path

from lib import rows


def trace(path: str) -> list[dict]:
    """The meta records of a file and of all files that it was made of, first stages first; each with its `file`.

    An input is looked for where its stage read it, else beside the file and one folder up, and is taken for it only if its
    contents have the hash that was noted: a run's folder may be moved. What cannot be found ends the trace there.
    """
    found: dict[str, dict] = {}

    def visit(file: Path) -> None:
        meta_path = Path(f"{file}.meta.json")
        if str(file.resolve()) in found or not meta_path.exists():
            return
        meta = json.loads(meta_path.read_bytes())
        found[str(file.resolve())] = meta | {"file": file.name}
        for name, digest in meta["inputs"].items():
            near = Path(name)
            places = (
                near,
                file.parent / near.name,
                file.parent.parent / near.name,
                file.parent.parent / near.parent.name / near.name,
            )
            for place in places:
                if place.exists() and rows.sha256(str(place)) == digest:
                    visit(place)
                    break

    visit(Path(path))
    return list(reversed(found.values()))


def table(metas: list[dict]) -> dict[str, list[str]]:
    """The stages as columns: rows in and out and what was dropped, files of one stage summed; in the order of the work."""
    columns: dict[str, list[str]] = {"stage": [], "files": [], "rows in": [], "rows out": [], "dropped": []}
    for stage in dict.fromkeys(meta["stage"] for meta in metas):
        some = [meta for meta in metas if meta["stage"] == stage]
        dropped = sum((Counter(meta.get("dropped") or {}) for meta in some), Counter())
        columns["stage"].append(stage)
        columns["files"].append(f"{len(some):,}")
        columns["rows in"].append(f"{sum(meta.get('rows_in', 0) for meta in some):,}")
        columns["rows out"].append(f"{sum(meta.get('rows_out', 0) for meta in some):,}")
        columns["dropped"].append(", ".join(f"{n:,} {why}" for why, n in dropped.most_common()) or "–")
    return columns


def settings(metas: list[dict]) -> dict[str, dict[str, list]]:
    """{stage: {setting: its distinct values}} over the files of a trace."""
    found: dict[str, dict[str, list]] = {}
    for meta in metas:
        for key, value in meta["settings"].items():
            values = found.setdefault(meta["stage"], {}).setdefault(key, [])
            values.extend([] if value in values else [value])
    return found
