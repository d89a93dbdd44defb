"""Writes the methods of the fitted model that hand over to functions of later rooms.

A method is its function with ``self`` for ``model``: same parameters, same documentation. Writing
it out (and not attaching the function at run time) keeps `import ranef` cheap and lets editors and
type checkers see everything; writing it by this script keeps the two from drifting apart, which
tests/test_methods.py checks.

    python tools/write_methods.py
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
TARGET = SOURCE / "ranef" / "model"

# File of methods -> what it is about, and the functions: "module:function".
SUBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tests": (
        "tests of fixed and random effects",
        (
            "ranef.inference.anova:anova",
            "ranef.inference.contest:contest",
            "ranef.inference.drop1:drop1",
            "ranef.inference.ranova:ranova",
        ),
    ),
    "intervals": (
        "intervals",
        (
            "ranef.inference.confint:confint",
            "ranef.inference.profile:profile",
            "ranef.inference.bootstrap:bootstrap",
            "ranef.inference.variance_errors:variance_errors",
        ),
    ),
    "means": (
        "estimated marginal means",
        (
            "ranef.inference.emmeans:emmeans",
            "ranef.inference.emmeans:emtrends",
            "ranef.inference.emmeans:joint_tests",
        ),
    ),
    "quality": (
        "how good the fit is, and what it is made of",
        (
            "ranef.inference.r2:r2",
            "ranef.inference.icc:icc",
            "ranef.inference.caic:caic",
            "ranef.inference.pca:pca",
        ),
    ),
    "prediction": (
        "prediction, simulation and refitting",
        (
            "ranef.prediction:predict",
            "ranef.simulation:simulate",
            "ranef.simulation:refit",
        ),
    ),
    "changing": (
        "making another one of it",
        ("ranef.updating:update",),
    ),
    "reports": (
        "tables for pipelines, papers and other packages",
        (
            "ranef.tidy:tidy",
            "ranef.tidy:glance",
            "ranef.export:to_markdown",
            "ranef.export:to_latex",
            "ranef.export:to_html",
            "ranef.export:to_great_tables",
            "ranef.export:to_marginaleffects",
        ),
    ),
    "diagnostics": (
        "what to look at before it is believed",
        (
            "ranef.diagnostics:leverage",
            "ranef.diagnostics:cooks_distance",
            "ranef.diagnostics:influence",
            "ranef.diagnostics:augment",
            "ranef.diagnostics:check",
        ),
    ),
    "explaining": (
        "showing and keeping it",
        (
            "ranef.explain:equations",
            "ranef.explain:implied_covariance",
            "ranef.storage:save",
        ),
    ),
}


@dataclass(frozen=True)
class Method:
    """The text of a method, and what its annotations need."""

    text: str
    imports: frozenset[str]


def main() -> None:
    """Write all files."""
    for name in SUBJECTS:
        (TARGET / f"{name}.py").write_text(file_text(name), encoding="utf-8")


def file_text(name: str) -> str:
    """Return the formatted text of one file of methods."""
    about, functions = SUBJECTS[name]
    methods = [method(*function.split(":")) for function in functions]
    imports = sorted({line for m in methods for line in m.imports})
    typed = [line for line in imports if line.startswith("from typing import")]
    others = [line for line in imports if not line.startswith("from typing import")]
    names = sorted({"TYPE_CHECKING", *(line.split("import ")[1] for line in typed)})
    own = "from ranef.model.fitted import LinearMixedModel"
    block = "\n".join(f"    {line}" for line in sorted({*others, own}))
    text = (
        f'"""Methods of a fitted model about {about}.\n\n'
        "Written by tools/write_methods.py from the functions that do the work: change those.\n"
        '"""\n\nfrom __future__ import annotations\n\n'
        f"from typing import {', '.join(names)}\n\nif TYPE_CHECKING:\n{block}\n\n\n"
        + "\n\n".join(m.text for m in methods)
    )
    return formatted(text)


def method(module: str, function: str) -> Method:
    """Return the method that hands over to a function."""
    path, node = find(module, function)
    args = node.args
    if not args.args or args.args[0].arg != "model":
        raise ValueError(f"{module}.{function} does not take a model first")
    args.args[0] = ast.arg("self", ast.Name("LinearMixedModel"))
    passed = ["self"]
    passed += [a.arg for a in args.args[1:]]
    passed += [f"*{args.vararg.arg}"] if args.vararg else []
    passed += [f"{a.arg}={a.arg}" for a in args.kwonlyargs]
    returns = ast.unparse(node.returns) if node.returns else "None"
    doc = own_words(ast.get_docstring(node) or "", function)
    lines = "\n".join(f"    {line}" if line else "" for line in doc.split("\n"))
    text = (
        f"def {function}({ast.unparse(args)}) -> {returns}:\n"
        f'    {"r" if chr(92) in doc else ""}"""{lines.strip()}\n    """\n'
        f"    from {module} import {function}\n\n"
        f"    return {function}({', '.join(passed)})\n"
    )
    return Method(text, frozenset(imports_for(path, node)))


def find(module: str, function: str) -> tuple[Path, ast.FunctionDef]:
    """Return the file that defines a function, and its definition."""
    base = SOURCE.joinpath(*module.split("."))
    files = [base.with_suffix(".py")] if base.with_suffix(".py").is_file() else base.glob("*.py")
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                return path, node
    raise LookupError(f"{module} has no function {function}")


def own_words(doc: str, function: str) -> str:
    """Return the documentation of a function as that of the method."""
    doc = re.sub(r"(?m)^model : LinearMixedModel\n(?: +.*\n)*", "", doc)
    doc = re.sub(r"Parameters\n-+\n(?=\n|$)", "", doc)
    doc = re.sub(r"\n{3,}", "\n\n", doc)
    doc = re.sub(rf">>> from [\w.]+ import {function}\n", "", doc)
    return re.sub(rf"(?<![\w.`]){function}\((\w+)(?:, )?", rf"\1.{function}(", doc)


def imports_for(path: Path, node: ast.FunctionDef) -> list[str]:
    """Return the imports of the names in a function's annotations."""
    annotations = [a.annotation for a in (*node.args.args, *node.args.kwonlyargs) if a.annotation]
    annotations += [node.returns] if node.returns else []
    used = {
        name.id for part in annotations for name in ast.walk(part) if isinstance(name, ast.Name)
    }
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known: dict[str, str] = {}
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                known[alias.asname or alias.name] = f"from {statement.module} import {alias.name}"
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                as_name = f" as {alias.asname}" if alias.asname else ""
                known[alias.asname or alias.name] = f"import {alias.name}{as_name}"
    here = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for statement in tree.body:
        for name in defined(statement):
            known[name] = f"from {here} import {name}"
    return [known[name] for name in used if name in known and name != "LinearMixedModel"]


def defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(statement, ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return []


def formatted(text: str) -> str:
    """Return the text as ruff formats it."""
    for arguments in (["check", "--fix", "--exit-zero", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", "methods.py", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=SOURCE.parent,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    main()
