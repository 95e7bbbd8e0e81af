"""The tree of exp/lib: arrows point one way, nothing goes round in a circle, no package knows a stage.

Imports are read as text, those inside functions too.
"""

import ast
import re

import pytest

from conftest import ROOT

LIB = ROOT / "exp/lib"
STAGES = {path.stem for path in (ROOT / "exp").glob("*.py")}
MODULES = {
    ".".join(path.relative_to(ROOT / "exp").with_suffix("").parts): path
    for path in LIB.rglob("*.py")
    if path.stem != "__init__"
}
# What a package may import besides the ground floor and itself. Everything may ask a model (inference).
MAY_IMPORT = {
    "inference": set(),
    "grading": {"inference"},
    "quality": {"inference", "grading"},
    "rewards": {"inference", "grading"},
    "training": {"inference", "grading"},  # formats and final answers, as the grader reads them
    "tiny": {
        "inference",
        "grading",
    },  # how well the embedded model answers is for the one grader to say
    "evaluation": {"inference", "grading"},
    "report": {"inference", "grading", "evaluation", "quality"},  # shows what the others made
}
# The door of lib/tiny that everybody may use: the true answers of procedural problems.
TRUTH = "lib.tiny.truth"
EMBEDDED_STAGES = {"make_tiny", "prep_tiny", "eval_tiny"}


def imports(path) -> set[str]:
    """The modules of this project that a file imports: `lib.rows`, `lib.grading.answers`, `gen_res`."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= (members & MODULES.keys()) or {node.module}
    return {name for name in imported if name in MODULES or name in STAGES}


def package(module: str) -> str:
    """`grading` of lib.grading.answers; empty for the ground floor."""
    parts = module.split(".")
    return parts[1] if len(parts) == 3 else ""


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_lies_below_it(module):
    own = package(module)
    for other in imports(MODULES[module]):
        assert other not in STAGES, f"{module} imports the stage {other}"
        if not package(other) or package(other) == own or (other == TRUTH and own == "report"):
            continue
        assert own, f"{module} is on the ground floor and imports {other}"
        assert package(other) in MAY_IMPORT[own], f"{module} imports {other}"


def test_every_package_has_its_rule_and_says_what_it_is_for():
    folders = {path.name for path in LIB.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == MAY_IMPORT.keys()
    for name in folders:
        assert ast.get_docstring(ast.parse((LIB / name / "__init__.py").read_text())), name


def test_no_imports_go_round_in_a_circle():
    below = {module: imports(path) & MODULES.keys() for module, path in MODULES.items()}
    while leaves := {module for module, others in below.items() if not others}:
        below = {
            module: others - leaves for module, others in below.items() if module not in leaves
        }
    assert not below, f"these import each other: {', '.join(sorted(below))}"


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_imports_no_stage_and_only_the_truth_of_the_embedded_model(stage):
    imported = imports(ROOT / f"exp/{stage}.py")
    assert not imported & STAGES
    if stage not in EMBEDDED_STAGES:
        assert {name for name in imported if package(name) == "tiny"} <= {TRUTH}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_package_names_a_stages_file(module):
    text = MODULES[module].read_text(encoding="utf-8")
    assert [name for name in re.findall(r"\b(\w+)\.py\b", text) if name in STAGES] == []
