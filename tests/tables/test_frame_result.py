"""Results that are tables: read like a data frame, and never changed through what they hand out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pandas as pd
import pytest

from ranef.tables.document import Document, Paragraph
from ranef.tables.frame_result import FrameResult


@dataclass(frozen=True, eq=False, repr=False)
class Result(FrameResult):
    """A result with one more field."""

    name: str

    def document(self) -> Document:
        """Return a sentence."""
        return Document("", (Paragraph(f"{self.name}: {len(self)} rows"),))


def frame() -> pd.DataFrame:
    """Return a small frame with labels."""
    return pd.DataFrame({"u": [1.0, 2.0, 3.0], "v": list("abc")}, index=["x", "y", "z"])


def test_reads_like_the_frame() -> None:
    """Everything that reads gives what the data frame gives."""
    result = Result(frame(), "three")

    pd.testing.assert_frame_equal(result.to_frame(), frame())
    pd.testing.assert_series_equal(result["u"], frame()["u"])
    pd.testing.assert_frame_equal(result[["v", "u"]], frame()[["v", "u"]])
    assert result.loc["y", "u"] == 2.0
    assert result.iloc[2, 1] == "c"
    assert list(result.index) == ["x", "y", "z"]
    assert list(result.columns) == list(result) == ["u", "v"]
    assert (len(result), result.shape) == (3, (3, 2))
    assert "u" in result and "x" not in result
    with pytest.raises(KeyError):
        result["w"]


def test_prints_its_document() -> None:
    """Printing is up to the subclass; the dataclass does not replace it."""
    result = Result(frame(), "three")

    assert str(result) == repr(result) == "three: 3 rows"
    assert "three" in result.to_html() and "three" in result._repr_html_()


@pytest.mark.filterwarnings("ignore")  # pandas may say itself that an assignment is lost
def test_is_not_changed_through_its_parts() -> None:
    """The frame it was made of, and all that it hands out, are separate."""
    given = frame()
    result = Result(given, "three")
    given.loc["x", "u"] = -1.0
    copy, cells, column, index = result.to_frame(), result.loc, result["u"], result.index
    copy.loc["x", "u"] = -1.0
    cells["x", "u"] = -1.0
    column.iloc[0] = -1.0
    index.name = "changed"

    pd.testing.assert_frame_equal(result.to_frame(), frame())
    with pytest.raises(FrozenInstanceError):
        result.name = "other"  # type: ignore[misc]


def test_pickles() -> None:
    """A result survives pickling."""
    result = pickle.loads(pickle.dumps(Result(frame(), "three")))

    assert result.name == "three"
    pd.testing.assert_frame_equal(result.to_frame(), frame())


@pytest.mark.parametrize("call", [np.asarray, pd.DataFrame, pd.Series])
def test_is_not_taken_for_an_array(call: Callable[[object], object]) -> None:
    """Numbers without the names of their columns would be wrong in silence."""
    with pytest.raises(TypeError, match="to_frame"):
        call(Result(frame(), "three"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("query", r"\.to_frame\(\)\.query"), ("u", r"\['u'\]"), ("nothing", "nothing")],
)
def test_says_where_data_frame_methods_are(name: str, hint: str) -> None:
    """What a data frame could do is found at its copy; columns are items."""
    with pytest.raises(AttributeError, match=hint):
        getattr(Result(frame(), "three"), name)
