"""An adapter for the package marginaleffects, whose functions then take ranef's models.

marginaleffects needs coefficients, their covariance matrix, and predictions for other
coefficients and other rows. Predictions are those of the fixed effects, x'beta + offset: columns
are made as for `predict`, with the levels, knots and scalings of the fit. The offset rides along
as a last column whose coefficient is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ranef.design import fixed_columns, fixed_offset, offset_is_unknown
from ranef.errors import MissingDependencyError, OptionError
from ranef.inference.estimability import estimable_rows
from ranef.inference.fixed_tests import fixed_tests
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def to_marginaleffects(model: LinearMixedModel, df: float = float("inf")) -> Any:
    """Return the model as marginaleffects wants it, for its predictions, comparisons and slopes.

    Use it for average comparisons, slopes and hypotheses in the grammar of that package:
    ``avg_slopes(m.to_marginaleffects())``. Predictions are those of the fixed effects. For
    Satterthwaite's degrees of freedom of every single estimate see `emmeans`, `emtrends`,
    `contest` and `predict`.

    Parameters
    ----------
    model : LinearMixedModel
    df : float
        Degrees of freedom of all tests; infinite for z tests, as in marginaleffects for R.

    Returns
    -------
    marginaleffects model
        ``vcov="kenward-roger"`` asks for the adjusted covariance matrix.

    Raises
    ------
    OptionError
        If ``df`` is not positive, or an offset was given as an array.
    NoRowsError
        If the model was fitted to streamed data.
    MissingDependencyError
        If marginaleffects is not installed.

    Examples
    --------
    >>> from marginaleffects import avg_slopes  # doctest: +SKIP
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> avg_slopes(m.to_marginaleffects())  # doctest: +SKIP

    References
    ----------
    Arel-Bundock, Greifer, Heiss 2024, Journal of Statistical Software 111(9).
    """
    number = isinstance(df, int | float | np.number) and not isinstance(df, bool)
    if not (number and df > 0.0):
        raise OptionError(f"df must be a positive number; got {df!r}.")
    if offset_is_unknown(model.design):
        raise OptionError(
            "the offset of the fit was given as an array, which says nothing about the rows for "
            "which marginaleffects asks: give it as the name of a column, or as offset() in the "
            "formula."
        )
    try:
        import polars as pl  # what marginaleffects computes with
        from marginaleffects.classes.model import ModelAbstract, ModelVault  # optional
    except ImportError as error:
        raise MissingDependencyError.from_extra("marginaleffects", "marginaleffects") from error

    class Adapter(ModelAbstract):  # type: ignore[misc]
        """Answers of a `LinearMixedModel` to the questions of marginaleffects."""

        df_resid = float(df)

        def get_coef(self) -> FloatArray:
            return np.asarray(model.fixef.dropna(), dtype=np.float64)

        def get_coefnames(self) -> Any:
            return np.array(model.fixef.dropna().index, dtype=object)

        def get_vcov(self, vcov: Any = True) -> FloatArray | None:
            if vcov is None or isinstance(vcov, bool):
                return model.vcov.to_numpy(dtype=np.float64) if vcov else None
            if vcov != "kenward-roger":
                raise OptionError(
                    "vcov must be True, False, 'kenward-roger' or a covariance matrix; "
                    f"got {vcov!r}."
                )
            return np.array(fixed_tests(model, "kenward-roger").vcov)

        def get_exog(self, newdata: Any) -> FloatArray:
            return _columns(model, _original_levels(model, newdata))

        def get_predict(self, params: Any, newdata: Any) -> Any:
            columns = np.asarray(newdata, dtype=np.float64)
            values = columns[:, :-1] @ np.asarray(params, dtype=np.float64) + columns[:, -1]
            rows = pl.Series("rowid", range(len(values)), dtype=pl.Int32)
            return pl.DataFrame([rows, pl.Series("estimate", values)])

    offsets = (name for expression in model.formula.offsets for name in expression.names)
    predictors = dict.fromkeys((*model.formula.fixed.names, *offsets))
    held = model.design.variables
    vault = ModelVault(
        # a function instead of a formula: marginaleffects then never reads ranef's language
        formula=lambda newdata: (None, _columns(model, _original_levels(model, newdata))),
        modeldata=_polars(model),
        package="ranef",
        variable_names=[model.design.response, *(name for name in predictors if name in held)],
    )
    return Adapter(model, vault)


def _columns(model: LinearMixedModel, newdata: Any) -> FloatArray:
    """Return the kept columns of X and the offset, (m, p + 1); NaN where not estimable."""
    X = fixed_columns(model.design, newdata)
    full: FloatArray = X.toarray() if sparse.issparse(X) else np.asarray(X)
    rows, estimable = estimable_rows(model, full)
    rows = np.where(estimable[:, None], rows, np.nan)
    offset = fixed_offset(model.design, newdata)
    last = np.zeros(len(rows)) if offset is None else offset
    return np.column_stack([rows, last])


def _polars(model: LinearMixedModel) -> Any:
    """Return the variables of the model; factors have their levels in order."""
    import polars as pl

    columns = []
    for name, column in model.design.variables.columns.items():
        if column.levels is None:
            columns.append(pl.Series(name, np.array(column.values)))
            continue
        levels = [str(level) for level in column.levels]
        values = [levels[code] for code in column.values]
        columns.append(pl.Series(name, values, dtype=pl.Enum(levels)))
    return pl.DataFrame(columns)


def _original_levels(model: LinearMixedModel, newdata: Any) -> dict[str, Any]:
    """Return new data as columns, in which factors have the levels that the fit knows."""
    out = {}
    variables = model.design.variables
    for name in newdata.columns:
        values = newdata[name]
        if name not in variables:
            continue
        levels = variables.columns[name].levels
        if levels is None:
            out[name] = values.to_numpy()
            continue
        known = {str(level): level for level in levels}
        out[name] = np.array(
            [known.get(str(v), v) if v is not None else None for v in values], dtype=object
        )
    return out
