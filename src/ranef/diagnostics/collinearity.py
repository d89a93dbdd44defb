"""Whether predictors say the same, or stand in units of very different size.

The generalised variance inflation factor of the columns S of a term (Fox, Monette 1992, Journal of
the American Statistical Association 87) is

    GVIF = |R_SS| |R_TT| / |R|,

R the correlation matrix of the estimated coefficients without the intercept, T all other columns;
GVIF^(1/df) compares with the variance inflation factor of one column. Main effects are collinear
with their interactions, and powers with each other, by construction and harmlessly. So the verdict
takes terms that share a variable together: what counts is how much such a family is determined by
the others.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ranef.diagnostics.finding import Finding, Outcome, skipped
from ranef.model import LinearMixedModel
from ranef.typing import FloatArray, IntArray

# Half of this is called moderate by many; standard errors grow by its square root.
HIGH = 10.0
# lme4 warns of the same.
LARGEST_RATIO = 1e5


def inflation(model: LinearMixedModel) -> pd.DataFrame:
    """Return the generalised variance inflation factor of every term of the fixed part.

    Returns
    -------
    DataFrame (terms, 3)
        df, gvif and vif = gvif^(1/df). Empty without an intercept, where R says nothing.
    """
    parts = _terms(model)
    rows = [(len(at), _gvif(model, at)) for at in parts.values()]
    frame = pd.DataFrame(rows, index=list(parts), columns=["df", "gvif"]).astype({"gvif": float})
    return frame.assign(vif=frame["gvif"] ** (1.0 / frame["df"]))


def collinear(model: LinearMixedModel) -> Finding:
    """Return the finding about collinearity."""
    topic, looked_at = (
        "Collinearity",
        "variance inflation of terms, those that share variables as one",
    )
    if not model.design.spec.intercept or 0 not in model.problem.basis.kept:
        return skipped(
            topic, looked_at, "there is no intercept that columns could be compared with"
        )
    families = _families(model)
    if len(families) < 2:
        return skipped(topic, looked_at, "there is nothing to be collinear with")
    vif = {name: _gvif(model, at) ** (1.0 / len(at)) for name, at in families.items()}
    worst = max(vif, key=lambda name: vif[name])
    largest = vif[worst]
    if largest < HIGH:
        verdict = f"the largest is {largest:.2f} ({worst})"
        return Finding(topic, Outcome.FINE, looked_at, largest, verdict)
    high = [f"{name} ({value:.1f})" for name, value in vif.items() if value >= HIGH]
    return Finding(
        topic,
        Outcome.LOOK,
        looked_at,
        largest,
        f"others determine most of {', '.join(high)}",
        f"their standard errors are up to {np.sqrt(largest):.1f} times larger than they would be "
        "alone: test them together, or leave one out",
    )


def different_scales(model: LinearMixedModel) -> Finding:
    """Return the finding about the sizes of the predictors."""
    topic, looked_at = "Scales of predictors", "standard deviations of the fixed-effects columns"
    kept = model.problem.basis.kept
    sd = _deviations(model)
    varies = sd > 0.0
    if varies.sum() < 2:
        return skipped(topic, looked_at, "there is nothing to compare")
    names = [model.design.x_names[j] for j in kept[varies]]
    sd = sd[varies]
    ratio = float(sd.max() / sd.min())
    low, high = names[int(sd.argmin())], names[int(sd.argmax())]
    if ratio <= LARGEST_RATIO:
        return Finding(
            topic, Outcome.FINE, looked_at, ratio, f"they differ by a factor of {ratio:.3g}"
        )
    return Finding(
        topic,
        Outcome.LOOK,
        looked_at,
        ratio,
        f"{high} is {ratio:.1g} times as large as {low}",
        "the fit does not mind, but coefficients are hard to read: change units",
    )


def _terms(model: LinearMixedModel) -> dict[str, IntArray]:
    """Return for every term where its columns stand among the kept ones; without the intercept."""
    spec, kept = model.design.spec, model.problem.basis.kept
    if not spec.intercept or 0 not in kept:
        return {}
    out = {}
    for block in spec.terms:
        at = np.flatnonzero((kept >= block.start) & (kept < block.stop))
        if len(at):
            out[block.label] = at
    return out


def _families(model: LinearMixedModel) -> dict[str, IntArray]:
    """Return the terms, those that share variables, directly or not, joined."""
    parts = _terms(model)
    blocks = {block.label: block for block in model.design.spec.terms}
    joined: list[tuple[set[str], list[str]]] = []
    for label in parts:
        variables, labels = set(blocks[label].term.names), [label]
        for other in [family for family in joined if family[0] & variables]:
            joined.remove(other)
            variables |= other[0]
            labels = other[1] + labels
        joined.append((variables, labels))
    return {
        " + ".join(labels): np.concatenate([parts[label] for label in labels])
        for _, labels in joined
    }


def _gvif(model: LinearMixedModel, at: IntArray) -> float:
    cov = model.vcov.to_numpy()[1:, 1:]
    sd = np.sqrt(np.diagonal(cov))
    R = cov / np.outer(sd, sd)
    inside = at - 1
    outside = np.setdiff1d(np.arange(len(R)), inside)

    def logdet(index: IntArray) -> float:
        return float(np.linalg.slogdet(R[np.ix_(index, index)])[1])

    whole = np.arange(len(R))
    return float(np.exp(max(0.0, logdet(inside) + logdet(outside) - logdet(whole))))


def _deviations(model: LinearMixedModel) -> FloatArray:
    """Return the standard deviations of the kept columns, (p,)."""
    X = model.problem.basis.columns
    n = model.nobs
    mean = np.asarray(X.sum(axis=0), dtype=np.float64).ravel() / n
    if isinstance(X, np.ndarray):
        variances = [float(((X[:, j] - mean[j]) ** 2).mean()) for j in range(X.shape[1])]
        return np.sqrt(np.array(variances, dtype=np.float64))
    squares = np.asarray(X.multiply(X).sum(axis=0), dtype=np.float64).ravel() / n
    sd: FloatArray = np.sqrt(np.maximum(squares - mean * mean, 0.0))
    return sd
