"""`save` and `load`: a fitted model in one file, without its factorisation, which is made again.

A file holds what the fit had found: the design, the covariance factors at the optimum, the verdict.
Loading sums the cross-products again (or takes them from the file where there are no rows) and
factorises once. The criterion must then be what it was: where it is not, the file does not belong
to this model, or this installation computes wrongly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ranef.convergence import Convergence, NullDirection, Status
from ranef.covariance.chart import Factors
from ranef.design.types import Design
from ranef.errors import OptionError, StorageError
from ranef.estimation import Problem, make_problem
from ranef.model import LinearMixedModel
from ranef.storage.arrays import ArrayReader, ArrayWriter
from ranef.storage.container import read_container, write_container
from ranef.storage.designs import decode_design, encode_design
from ranef.storage.fields import Fields
from ranef.storage.indexes import IndexReader, IndexWriter
from ranef.storage.scalars import decode_scalar, encode_scalar
from ranef.storage.specs import (
    JSON,
    decode_formula,
    decode_shared,
    encode_formula,
    encode_shared,
)
from ranef.storage.streamed import decode_streamed, encode_streamed
from ranef.storage.values import encode_value
from ranef.streaming import StreamedDesign
from ranef.typing import FloatArray, OptimizerName, check_choice

# The criterion of a loaded model may differ by this from what was saved, absolutely and relative to
# its size: other processors and other builds of BLAS round otherwise.
TOLERANCE = 1e-6
RELATIVE_TOLERANCE = 1e-8


def save(
    model: LinearMixedModel, path: str | os.PathLike[str], *, omit_functions: bool = False
) -> None:
    """Write a fitted model to a file.

    Use it to keep a model for later, or to hand it to somebody. The file holds everything that
    `load` needs, the used rows of the data included, or the sums where the data were streamed;
    nothing in it is executed when it is read.

    Parameters
    ----------
    model : LinearMixedModel
    path : str or Path
        By convention ``name.ranef``. A file that is there is replaced, once the new one is
        complete.
    omit_functions : bool
        Functions of your own that the formula uses (``context`` of `ranef.fit`) are code, and a
        file holds none. With True they are left out, and `load` asks for them.

    Raises
    ------
    StorageError
        If the formula uses functions of your own, or labels are of a kind that cannot be saved.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import ranef, tempfile
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(m, f"{folder}/sleep.ranef")
    ...     again = ranef.load(f"{folder}/sleep.ranef")
    >>> bool((again.fitted == m.fitted).all())
    True
    """
    target, design = _path(path), model.design
    arrays = ArrayWriter()
    streamed = isinstance(design, StreamedDesign)
    rows = max(group.size for group in model.problem.groups) if streamed else model.nobs
    indices = IndexWriter(arrays, rows)
    omitted = _not_data(model.design.spec.context, model.nobs)
    if omitted and not omit_functions:
        names = ", ".join(f"{name!r} ({type(value).__name__})" for name, value in omitted.items())
        raise StorageError(
            f"the formula uses {names} of your own: that is code, which a file cannot hold. Save "
            "with omit_functions=True, and give the same context= to ranef.load."
        )
    content = {
        "rows": rows,
        "formula": encode_formula(model.formula),
        "reml": model.reml,
        "objective": encode_scalar(float(model.objective)),
        "theta": arrays.add(model.theta_values, "theta"),
        "theta_names": model.problem.theta_names(),
        "factors": [arrays.add(T, "factor") for T in model.state.factorization.T],
        "convergence": _encode_convergence(model.convergence),
        "shared": encode_shared(model.design.spec, omitted, arrays, indices),
        **(
            {"streamed": encode_streamed(design, model.problem, arrays, indices)}
            if isinstance(design, StreamedDesign)
            else {"design": encode_design(design, arrays, indices)}
        ),
        "labels": indices.stored,
    }
    text = json.dumps(content, indent=1, allow_nan=False)
    write_container(target, {"model.json": text.encode(), **arrays.members}, _version())


def load(
    path: str | os.PathLike[str], context: Mapping[str, Any] | None = None
) -> LinearMixedModel:
    """Read a fitted model that `LinearMixedModel.save` wrote.

    Files from strangers are safe to load: they hold numbers and text, and nothing is executed.

    Parameters
    ----------
    path : str or Path
    context : dict, optional
        Functions of your own that the formula uses, as given to `ranef.fit`.

    Returns
    -------
    LinearMixedModel
        With the numbers of the model that was saved.

    Raises
    ------
    StorageError
        If the file is damaged, was not written by ranef or by a later version, or needs
        ``context``.
    OSError
        If the file cannot be opened.
    FitError
        If the model does not fit into memory.
    """
    source = _path(path)
    if context is not None and not isinstance(context, Mapping):
        raise OptionError(f"context must be a dict from names to functions; got {context!r}.")
    members = read_container(source)
    try:
        return _decode(members, context or {})
    except StorageError as error:
        raise StorageError(f"{source} cannot be loaded: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, RecursionError) as error:
        # every member is what was written, so only a file that others put together comes here
        raise StorageError(
            f"{source} cannot be loaded: its parts disagree ({error!r:.120})."
        ) from None


def _path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise OptionError(f"path must be a string or a Path; got {path!r:.60}.")
    return Path(path)


def _version() -> str:
    try:
        return metadata.version("ranef")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


def _not_data(context: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Return what of the context cannot be written."""
    arrays = ArrayWriter()
    indices = IndexWriter(arrays, rows)
    omitted = {}
    for name, value in context.items():
        try:
            encode_value(value, arrays, indices)
        except StorageError:
            omitted[name] = value
    return omitted


def _decode(members: Mapping[str, bytes], context: Mapping[str, Any]) -> LinearMixedModel:
    arrays = ArrayReader(members)
    fields = Fields(json.loads(members["model.json"].decode("utf-8")), "model.json")
    rows = fields.integer("rows")
    indices = IndexReader(fields.items("labels"), arrays, rows)
    formula = decode_formula(fields.fields("formula"))
    shared = decode_shared(fields.fields("shared"), context, arrays, indices)
    reml = fields.flag("reml")
    design: Design
    with np.errstate(all="ignore"):
        if "streamed" in fields:
            stored = fields.fields("streamed")
            design, problem = decode_streamed(stored, formula, shared, arrays, indices, reml=reml)
        else:
            design = decode_design(fields.fields("design"), formula, shared, rows, arrays, indices)
            problem = make_problem(design, reml=reml)
        theta = _numbers(fields.get("theta"), arrays)
        factors = _factors(fields, problem, theta, arrays)
        state = problem.objective.state(factors)
    problem.objective.forget()
    _check_objective(decode_scalar(fields.get("objective")), state.value)
    return LinearMixedModel(
        formula=formula,
        reml=problem.objective.reml,
        design=design,
        convergence=_decode_convergence(fields.fields("convergence")),
        objective=state.value,
        problem=problem,
        state=state,
        theta_values=theta,
    )


def _numbers(reference: Any, arrays: ArrayReader) -> FloatArray:
    values = arrays.get(reference)
    if values.dtype != np.float64 or not np.isfinite(values).all():
        raise StorageError("the covariance parameters are not finite numbers")
    return values


def _factors(fields: Fields, problem: Problem, theta: FloatArray, arrays: ArrayReader) -> Factors:
    """Return the factors in the core's coordinates, if they are those of theta."""
    names = problem.theta_names()
    if fields.items("theta_names") != names or theta.shape != (len(names),):
        raise StorageError(f"theta has not the parameters {', '.join(names)}")
    found = tuple(_numbers(reference, arrays) for reference in fields.items("factors"))
    if [T.shape for T in found] != [(group.width, group.width) for group in problem.groups]:
        raise StorageError("the covariance factors do not belong to the random terms")
    for group, T, raw in zip(problem.groups, found, problem.raw_factors(theta), strict=True):
        half = group.whitening @ T
        scale = np.abs(raw).max() ** 2
        # the same covariance matrix, whatever the rotation of its factor
        if np.abs(half @ half.T - raw @ raw.T).max() > RELATIVE_TOLERANCE * scale:
            raise StorageError(f"theta and the covariance factor of {group.name} disagree")
    return found


def _check_objective(saved: Any, found: float) -> None:
    if not isinstance(saved, float):
        raise StorageError("the criterion is not a number")
    if not abs(saved - found) <= TOLERANCE + RELATIVE_TOLERANCE * abs(saved):
        raise StorageError(
            f"the criterion of the loaded model is {found:.6f}, that of the saved one was "
            f"{saved:.6f}: fit the model again"
        )


def _encode_convergence(verdict: Convergence) -> JSON:
    return {
        "status": verdict.status.value,
        "message": verdict.message,
        "grad_norm": encode_scalar(float(verdict.grad_norm)),
        "n_evaluations": int(verdict.n_evaluations),
        "decrement": encode_scalar(float(verdict.decrement)),
        "smallest_curvature": encode_scalar(float(verdict.smallest_curvature)),
        "null_directions": [
            {
                "group": null.group,
                "names": list(null.names),
                "weights": [encode_scalar(float(weight)) for weight in null.weights],
            }
            for null in verdict.null_directions
        ],
        "optimizer": verdict.optimizer,
    }


def _decode_convergence(fields: Fields) -> Convergence:
    optimizer: Any = fields.text("optimizer")
    check_choice("optimizer", optimizer, OptimizerName)
    numbers = {
        name: decode_scalar(fields.get(name))
        for name in ("grad_norm", "decrement", "smallest_curvature")
    }
    null = tuple(
        NullDirection(
            direction.text("group"),
            direction.texts("names"),
            tuple(decode_scalar(weight) for weight in direction.items("weights")),
        )
        for direction in fields.each("null_directions")
    )
    weights = (weight for direction in null for weight in direction.weights)
    if not all(isinstance(number, float) for number in (*numbers.values(), *weights)):
        raise StorageError(f"{fields.where} has numbers that are none")
    return Convergence(
        status=Status(fields.text("status")),
        message=fields.text("message"),
        n_evaluations=fields.integer("n_evaluations"),
        null_directions=null,
        optimizer=optimizer,
        **numbers,
    )
