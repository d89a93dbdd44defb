"""Every reference model of R, read in chunks: the fit in memory is compared with R elsewhere."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bank
import ranef
from streams import assert_agree, cut

# Two terms of this model compete for the same variance: its theta is one of many.
NOT_UNIQUE = {"mach_facuncorr"}
# Seconds each; the smaller models of the same data have the same terms.
LARGE = {"inst_full", "inst_ml"}
CASES = {case.id: case for case in bank.cases() if case.id not in NOT_UNIQUE | LARGE}


@pytest.mark.parametrize("name", CASES)
def test_chunks(name: str) -> None:
    """Five chunks, cut at random rows."""
    case = CASES[name]
    frame, options = case.frame(), {k: v for k, v in case.options().items() if v is not None}
    for role in ("weights", "offset"):  # arrays become columns
        if role in options and not isinstance(options[role], str):
            frame = frame.assign(**{f"the_{role}": np.asarray(options[role])})
            options[role] = f"the_{role}"
    at = np.random.default_rng(len(frame)).integers(0, len(frame), 4).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ranef.errors.RankDeficiencyWarning)
        whole = ranef.fit(case.formula, frame, **options)
        streamed = ranef.fit(case.formula, cut(frame, at), **options)
    assert_agree(whole, streamed)
