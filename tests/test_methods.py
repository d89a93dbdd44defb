"""The methods that hand over to functions are those functions."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ranef

ROOT = Path(__file__).parents[1]


def script() -> ModuleType:
    """Return tools/write_methods.py as a module."""
    spec = importlib.util.spec_from_file_location(
        "write_methods", ROOT / "tools" / "write_methods.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


WRITER = script()


@pytest.mark.parametrize("subject", WRITER.SUBJECTS)
def test_the_files_are_up_to_date(subject: str) -> None:
    """Every file of methods is what the script writes from the functions as they are now."""
    written = (WRITER.TARGET / f"{subject}.py").read_text(encoding="utf-8")

    assert written == WRITER.file_text(subject)


def test_every_method_written_is_one_of_the_model() -> None:
    """No method is forgotten in the class, and each takes what its function takes."""
    for _, functions in WRITER.SUBJECTS.values():
        for function in functions:
            module, name = function.split(":")
            method = getattr(ranef.LinearMixedModel, name)
            original = getattr(importlib.import_module(module), name)
            theirs = list(inspect.signature(original).parameters.values())[1:]
            ours = list(inspect.signature(method).parameters.values())[1:]
            assert [(p.name, p.default, p.kind) for p in ours] == [
                (p.name, p.default, p.kind) for p in theirs
            ]
