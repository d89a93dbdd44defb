"""lme4's `dummy()`: indicators of some levels as numeric columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ranef.design import build_design


def test_dummy_gives_numeric_indicators() -> None:
    """One level is one column, no level means all but the first, as in lme4."""
    frame = pd.DataFrame({"y": np.arange(12.0), "f": list("abc") * 4, "g": list("ppqqqqrrrrss")})
    one = build_design("y ~ 1 + (0 + dummy(f, 'b') | g)", frame).terms[0]
    assert one.names == ('dummy(f, "b")',)
    np.testing.assert_array_equal(np.asarray(one.columns[0]), frame["f"] == "b")
    both = build_design("y ~ 1 + (0 + dummy(f) | g)", frame).terms[0]
    assert both.names == ("dummy(f)[b]", "dummy(f)[c]")
