"""RandomEffects: a read-only mapping of conditional modes with lazy standard deviations."""

import functools
import pickle

import numpy as np
import pandas as pd
import pytest

from ranef.effects import RandomEffects
from ranef.errors import RanefError

# R: as.data.frame(ranef(lmer(Reaction ~ Days + (Days | Subject), sleepstudy))), two subjects
SLEEP = pd.DataFrame(
    {"Intercept": [2.258550950, -40.398738079], "Days": [9.198975766, -8.619680615]},
    index=["308", "309"],
)
SLEEP_SD = np.array([12.070856951, 2.304839021])
SLEEP_COV = np.tile(np.diag(np.square(SLEEP_SD)), (2, 1, 1))
PLATES = pd.DataFrame({"Intercept": [0.5, -0.25, -0.25]}, index=[1, 2, 3])
PLATES_COV = np.full((3, 1, 1), 0.04)

calls = []


def covariances():
    """Pretend to compute something expensive."""
    calls.append("cov")
    return {"Subject": SLEEP_COV, "plate": PLATES_COV}


def deviations(scale):
    """Pretend to compute standard deviations another way."""
    calls.append("sd")
    return {"Subject": SLEEP * 0 + SLEEP_SD * scale, "plate": PLATES * 0 + 0.2 * scale}


@pytest.fixture
def lazy():
    """Effects whose covariances are a function."""
    calls.clear()
    return RandomEffects({"Subject": SLEEP, "plate": PLATES}, covariances)


def test_it_is_a_mapping_of_data_frames(lazy):
    """Keys are grouping factors, values data frames with one row per level."""
    assert list(lazy) == ["Subject", "plate"] and len(lazy) == 2 and "plate" in lazy
    assert lazy["Subject"].loc["309", "Days"] == -8.619680615
    assert {group: frame.shape for group, frame in lazy.items()} == {
        "Subject": (2, 2),
        "plate": (3, 1),
    }


def test_covariances_are_computed_once_and_only_when_asked(lazy):
    """Modes and printing cost nothing; the function runs at the first use of sd or cov."""
    str(lazy)
    lazy["Subject"]
    assert calls == []
    assert lazy.sd["Subject"].loc["308"].tolist() == pytest.approx(SLEEP_SD)
    assert lazy.cov["Subject"].shape == (2, 2, 2)
    assert lazy.sd["plate"]["Intercept"].tolist() == pytest.approx([0.2] * 3)
    assert calls == ["cov"]


def test_standard_deviations_may_have_their_own_function():
    """Standard deviations do not need the covariances when they can be had more cheaply."""
    calls.clear()
    effects = RandomEffects(
        {"Subject": SLEEP, "plate": PLATES}, covariances, functools.partial(deviations, scale=2)
    )
    assert effects.sd["Subject"].iloc[0].tolist() == pytest.approx(2 * SLEEP_SD)
    assert effects.sd is effects.sd
    assert calls == ["sd"]


def test_given_arrays_work_as_well():
    """Covariances and standard deviations may simply be given."""
    effects = RandomEffects({"plate": PLATES}, {"plate": PLATES_COV}, {"plate": PLATES * 0 + 3})
    assert effects.sd["plate"]["Intercept"].tolist() == [3.0] * 3
    assert effects.cov["plate"].tolist() == PLATES_COV.tolist()


def test_frame_has_lme4s_columns_and_order(lazy):
    """Per factor, per term, all levels, with conditional standard deviations."""
    frame = lazy.to_frame()
    assert list(frame.columns) == ["grpvar", "term", "grp", "condval", "condsd"]
    assert frame["grpvar"].tolist() == ["Subject"] * 4 + ["plate"] * 3
    assert frame["term"].tolist() == ["Intercept"] * 2 + ["Days"] * 2 + ["Intercept"] * 3
    assert frame["grp"].tolist() == ["308", "309", "308", "309", "1", "2", "3"]
    assert frame["condval"].tolist()[:3] == [2.258550950, -40.398738079, 9.198975766]
    assert frame["condsd"].tolist()[:4] == pytest.approx(np.repeat(SLEEP_SD, 2).tolist())


def test_levels_keep_their_type_where_they_agree():
    """Integer levels stay integers, so the frame can be joined with the data."""
    frame = RandomEffects({"plate": PLATES}, {"plate": PLATES_COV}).to_frame()
    assert pd.api.types.is_integer_dtype(frame["grp"])


def test_categorical_levels():
    """Levels of two categorical factors are put together as plain values."""
    a = pd.DataFrame({"Intercept": [1.0, 2.0]}, index=pd.CategoricalIndex(["x", "y"]))
    b = pd.DataFrame({"Intercept": [3.0]}, index=pd.CategoricalIndex(["z"]))
    cov = {"a": np.ones((2, 1, 1)), "b": np.ones((1, 1, 1))}
    assert RandomEffects({"a": a, "b": b}, cov).to_frame()["grp"].tolist() == ["x", "y", "z"]


def test_the_model_cannot_be_changed_through_it(lazy):
    """Data frames are copies, arrays are read-only, and the caller's objects are not kept."""
    for handed_out in (lazy["Subject"], lazy.sd["Subject"]):
        handed_out.iloc[:, :] = 0.0
    assert lazy["Subject"].iloc[0, 0] == 2.258550950
    assert lazy.sd["Subject"].iloc[0, 0] > 0
    with pytest.raises(ValueError, match="read-only"):
        lazy.cov["Subject"][0] = 0.0
    modes, cov = PLATES.copy(), PLATES_COV.copy()
    effects = RandomEffects({"plate": modes}, {"plate": cov})
    modes.iloc[:, :] = cov[:] = 7.0
    assert effects["plate"].iloc[0, 0] == 0.5 and effects.cov["plate"][0, 0, 0] == 0.04
    with pytest.raises(AttributeError):
        effects.modes = {}


@pytest.mark.parametrize("used", [False, True])
def test_pickling(lazy, used):
    """Effects survive pickling, computed or not, and stay read-only."""
    if used:
        lazy.to_frame()
    copy = pickle.loads(pickle.dumps(lazy))
    pd.testing.assert_frame_equal(copy.to_frame(), lazy.to_frame())
    with pytest.raises(ValueError, match="read-only"):
        copy.cov["Subject"][0] = 0.0


def test_unknown_groups_are_explained(lazy):
    """A misspelt factor is a KeyError of ranef that suggests the right name."""
    for mapping in (lazy, lazy.sd, lazy.cov):
        with pytest.raises(KeyError, match="Did you mean 'Subject'") as caught:
            mapping["subject"]
        assert isinstance(caught.value, RanefError)
    assert lazy.get("x") is None


def test_printing_shows_the_head_of_each_group():
    """Long factors are cut after six levels, and the rest is counted."""
    modes = pd.DataFrame({"Intercept": np.arange(30.0)}, index=[f"s{i}" for i in range(30)])
    effects = RandomEffects({"g": modes, "plate": PLATES}, {})
    lines = str(effects).split("\n")
    assert lines[0] == "g (30 levels):"
    assert lines[7].split() == ["s5", "5"] and lines[8] == "... and 24 more levels"
    assert lines[10] == "plate (3 levels):" and lines[-1].split() == ["3", "-0.25"]
    assert repr(effects) == str(effects)
    assert "<caption>plate (3 levels)</caption>" in effects._repr_html_()


def test_comparing_and_hashing_go_by_identity(lazy):
    """Comparing two sets of effects does not fail inside pandas."""
    assert lazy == lazy and lazy != RandomEffects({}, {})  # noqa: PLR0124
    assert len({lazy}) == 1
