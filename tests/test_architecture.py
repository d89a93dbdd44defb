"""The rules of ARCHITECTURE.md that a machine can check: imports go down, files stay small.

A module belongs to the room with its longest matching prefix. Modules import from lower layers,
from their own room, and from the front (the package itself) of another room in the same layer.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MODULES = sorted((SOURCE / "ranef").rglob("*.py"))

LAYERS: tuple[frozenset[str], ...] = (  # lowest first
    frozenset({"ranef.errors"}),
    frozenset({"ranef.draws", "ranef.names", "ranef.typing"}),
    frozenset({"ranef.datasets", "ranef.tables"}),
    frozenset({"ranef.formula", "ranef.covariance"}),
    frozenset({"ranef.design"}),
    frozenset({"ranef.linalg", "ranef.modelmatrix"}),
    frozenset({"ranef.objective"}),
    frozenset({"ranef.optimize"}),
    frozenset({"ranef.estimation"}),
    frozenset({"ranef.convergence"}),
    frozenset({"ranef.batch"}),
    frozenset({"ranef.streaming"}),
    frozenset({"ranef.variance"}),
    frozenset({"ranef.effects"}),
    frozenset({"ranef.estimates"}),
    frozenset({"ranef.model"}),
    frozenset({"ranef.fit"}),
    frozenset({"ranef.simulation", "ranef.updating"}),
    frozenset({"ranef.inference"}),
    frozenset({"ranef.diagnostics", "ranef.explain", "ranef.prediction", "ranef.storage"}),
    frozenset({"ranef.export", "ranef.many", "ranef.planning", "ranef.tidy"}),
    frozenset({"ranef.plots"}),
    frozenset({"ranef"}),  # the front, which gathers the public names
    frozenset({"ranef.__main__"}),
)
BASE = frozenset({"ranef.errors", "ranef.typing"})
# These know nothing of models, so that they can be read, tested and replaced on their own.
INDEPENDENT = frozenset({"ranef.datasets", "ranef.tables", "ranef.formula"})
# Methods hand over to functions of higher rooms in one line: the model's to all of them, those of
# results to the pictures.
DELEGATING = {"ranef.model": "ranef", "ranef.inference": "ranef.plots"}
# Optional or slow: imported in the function that needs them, and nowhere else.
DEFERRED = frozenset(
    {
        "dask",
        "distributed",
        "great_tables",
        "joblib",
        "maketables",
        "marginaleffects",
        "matplotlib",
        "nlopt",
        "polars",
        "pyarrow",
        "scipy.optimize",
        "scipy.special",
        "scipy.stats",
        "tqdm",
    }
)
LONGEST_FILE = 400
IMPORT_SECONDS = 0.060


@dataclass(frozen=True)
class Import:
    """One imported module, and where the statement stands."""

    module: str
    target: str
    line: int
    in_function: bool
    for_types: bool

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}, imports {self.target}"


def module_name(path: Path, source: Path = SOURCE) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, source: Path = SOURCE) -> list[Import]:
    """Return everything a file imports, the names of submodules resolved."""
    module = module_name(path, source)

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            types = for_types or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            )
            if isinstance(child, ast.Import | ast.ImportFrom):
                for target in targets(child):
                    yield Import(module, target, child.lineno, inside, types)
            yield from walk(child, inside, types)

    def targets(node: ast.Import | ast.ImportFrom) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        assert node.level == 0 and node.module, f"{module} has a relative import"
        if node.module.partition(".")[0] != "ranef":
            return sorted({_deferred(f"{node.module}.{a.name}") or node.module for a in node.names})
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return sorted({name if _exists(source, name) else node.module for name in names})

    return list(walk(ast.parse(path.read_text(encoding="utf-8")), False, False))


def room(module: str) -> str | None:
    """Return the entry of LAYERS that a module belongs to."""
    rooms = [name for layer in LAYERS for name in layer]
    fitting = [name for name in rooms if module == name or module.startswith(name + ".")]
    found = max(fitting, key=len, default=None)
    return None if found == "ranef" and module != "ranef" else found


def layer(module: str) -> int:
    """Return the height of a module; one without a place is above all."""
    return next((i for i, rooms in enumerate(LAYERS) if room(module) in rooms), len(LAYERS))


def is_allowed(found: Import) -> bool:
    """Tell whether an import goes down, or stays where it may stay."""
    own, other = room(found.module), room(found.target)
    if own == other or (_is_delegation(found) and (found.in_function or found.for_types)):
        return True
    if own in INDEPENDENT:
        return other in BASE
    if layer(found.target) == layer(found.module):
        return found.target == other  # the front of a neighbouring room
    return layer(found.target) < layer(found.module)


def _is_delegation(found: Import) -> bool:
    to = DELEGATING.get(room(found.module) or "")
    return to is not None and f"{found.target}.".startswith(f"{to}.")


def _exists(source: Path, module: str) -> bool:
    path = source.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _deferred(name: str) -> str | None:
    return next((d for d in DEFERRED if name == d or name.startswith(d + ".")), None)


ALL_IMPORTS = {module_name(path): imports_of(path) for path in MODULES}
WITHIN = [
    found
    for imports in ALL_IMPORTS.values()
    for found in imports
    if found.target.partition(".")[0] == "ranef"
]


def test_every_module_has_a_layer() -> None:
    """A new room needs a place in LAYERS, and a line in ARCHITECTURE.md."""
    assert [module for module in ALL_IMPORTS if room(module) is None] == []


def test_imports_go_down() -> None:
    """No module imports from a higher layer, or from the inside of a neighbouring room."""
    assert [str(found) for found in WITHIN if not is_allowed(found)] == []


def test_no_cycles() -> None:
    """The modules can be put into an order in which each imports only earlier ones."""
    graph = {
        module: {
            found.target
            for found in imports
            if found.target in ALL_IMPORTS and not (found.in_function or found.for_types)
        }
        - {module}
        for module, imports in ALL_IMPORTS.items()
    }
    while free := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in free:
            del graph[module]
    assert sorted(graph) == []


def test_imports_inside_functions() -> None:
    """Only optional or slow packages, and what the model's methods hand over to."""
    stray = [
        str(found)
        for imports in ALL_IMPORTS.values()
        for found in imports
        if found.in_function and not _deferred(found.target) and not _is_delegation(found)
    ]
    assert stray == []


def test_slow_packages_are_not_imported_at_the_top() -> None:
    """`import ranef` must not pay for what only some functions need."""
    early = [
        str(found)
        for imports in ALL_IMPORTS.values()
        for found in imports
        if _deferred(found.target) and not (found.in_function or found.for_types)
    ]
    assert early == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_files_are_short(path: Path) -> None:
    """A file holds one concept; beyond 400 lines it holds two."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_files_say_what_they_are_for(path: Path) -> None:
    """Every module starts with a docstring; the empty front of a room may do without."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree)


def test_public_names_are_documented() -> None:
    """Every name of `ranef.__all__` occurs in docs/ as `ranef.name`."""
    import ranef

    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("**/*.md"))
    assert [name for name in ranef.__all__ if f"ranef.{name}" not in pages] == []


IMPORT_COST = """
import json, sys, time
import numpy, scipy.linalg, scipy.sparse, pandas, formulaic, narwhals
before = set(sys.modules)
start = time.process_time()
import ranef
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before)}))
"""


def test_import_is_cheap() -> None:
    """Beyond its dependencies, `import ranef` costs little and loads nothing slow or optional.

    Processor time, and the best of a few processes: a busy machine must not fail this test.
    """
    seconds = float("inf")
    # installed packages are compiled: let the first process leave its bytecode to the others
    compiling = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(8):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT_COST],
            env=compiling,
            capture_output=True,
            text=True,
            check=True,
        )
        report = json.loads(done.stdout)
        assert [module for module in report["modules"] if _deferred(module)] == []
        seconds = min(seconds, report["seconds"])
        if seconds < IMPORT_SECONDS:
            break
    assert seconds < IMPORT_SECONDS


@pytest.mark.parametrize(
    ("module", "text", "allowed"),
    [
        ("ranef.design.a", "from ranef.formula import x", True),
        ("ranef.design.a", "from ranef.design.b import x", True),
        ("ranef.formula.a", "from ranef.design import x", False),
        ("ranef.formula.a", "def f():\n    from ranef.design import x", False),
        ("ranef.formula.a", "from ranef.covariance import x", False),
        ("ranef.linalg.a", "from ranef import model", False),
        ("ranef.tables.a", "from ranef.datasets import x", False),
        ("ranef.tables.a", "from ranef.errors import FitError", True),
        ("ranef.design.a", "import ranef", False),
        ("ranef.model", "def f():\n    from ranef.inference.tests import x", True),
        ("ranef.model", "if TYPE_CHECKING:\n    from ranef.inference.tests import x", True),
        ("ranef.model", "from ranef.inference.tests import x", False),
        ("ranef.model.tests", "def f():\n    from ranef.inference.tests import x", True),
        ("ranef.inference.a", "def f():\n    from ranef.plots import x", True),
        ("ranef.inference.a", "from ranef.plots import x", False),
        ("ranef.prediction.a", "from ranef.diagnostics import x", True),
        ("ranef.prediction.a", "from ranef.diagnostics.inside import x", False),
        ("ranef.__main__", "import ranef", True),
    ],
)
def test_the_rule_itself(tmp_path: Path, module: str, text: str, allowed: bool) -> None:
    """The check finds what it is there to find."""
    for name in ("ranef.model", "ranef.diagnostics.inside", "ranef.inference.tests", module):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    path.write_text(text)
    found = [i for i in imports_of(path, tmp_path) if i.target.startswith("ranef")]
    assert [is_allowed(i) for i in found] == [allowed]
