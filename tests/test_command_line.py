"""The command line: what reaches `ranef.fit`, what is printed, and how errors end."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ranef
from ranef import datasets
from ranef.__main__ import main, read_table
from ranef.errors import (
    ConvergenceWarning,
    DataError,
    FitError,
    FormulaError,
    MissingDependencyError,
    OptionError,
    RanefError,
)

FORMULA = "Reaction ~ Days + (Days | Subject)"


class StandInSummary:
    """Says which renderer was asked."""

    def __str__(self) -> str:
        return "as text"

    def to_markdown(self) -> str:
        """Stand in for Markdown."""
        return "as markdown"

    def to_latex(self) -> str:
        """Stand in for LaTeX."""
        return "as latex"

    def to_html(self) -> str:
        """Stand in for HTML."""
        return "as html"


class StandInFit:
    """Takes the place of `ranef.fit`: keeps the call, and raises or warns where told to."""

    def __init__(self) -> None:
        self.formula = ""
        self.data = pd.DataFrame()
        self.options: dict[str, Any] = {}
        self.error: Exception | None = None
        self.warning: Warning | None = None

    def __call__(self, formula: str, data: pd.DataFrame, **options: Any) -> StandInFit:
        """Keep the call."""
        if self.error is not None:
            raise self.error
        if self.warning is not None:
            warnings.warn(self.warning, stacklevel=2)
        self.formula, self.data, self.options = formula, data, options
        return self

    def summary(self, ddf: str) -> StandInSummary:
        """Return what the command line prints."""
        self.options["ddf"] = ddf
        return StandInSummary()


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> StandInFit:
    """Put a stand-in in the place of `ranef.fit`."""
    stand_in = StandInFit()
    monkeypatch.setattr(ranef, "fit", stand_in, raising=False)
    return stand_in


def test_defaults(fit: StandInFit, capsys: pytest.CaptureFixture[str]) -> None:
    """A formula and a bundled name are enough: REML, no weights, the default optimiser, text."""
    assert main([FORMULA, "sleepstudy"]) == 0
    assert fit.formula == FORMULA
    pd.testing.assert_frame_equal(fit.data, datasets.load("sleepstudy"))
    assert fit.options == {
        "ddf": "satterthwaite",
        "reml": True,
        "weights": None,
        "offset": None,
        "contrasts": None,
        "optimizer": "newton",
    }
    assert capsys.readouterr() == ("as text\n", "")


@pytest.mark.parametrize(
    ("arguments", "option", "value"),
    [
        (["--ml"], "reml", False),
        (["--weights", "w"], "weights", "w"),
        (["--offset", "o"], "offset", "o"),
        (["--contrasts", "A=sum"], "contrasts", {"A": "sum"}),
        (["--contrasts", "A=sum, B = helmert"], "contrasts", {"A": "sum", "B": "helmert"}),
        (["--optimizer", "nelder-mead"], "optimizer", "nelder-mead"),
        (["--ddf", "normal"], "ddf", "normal"),
    ],
)
def test_options_reach_the_fit(
    fit: StandInFit, arguments: list[str], option: str, value: object
) -> None:
    """Every option changes one argument of the fit."""
    assert main([*arguments, FORMULA, "sleepstudy"]) == 0
    assert fit.options[option] == value


@pytest.mark.parametrize("name", ["text", "markdown", "latex", "html"])
def test_formats(fit: StandInFit, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The summary is rendered as asked."""
    assert main([FORMULA, "sleepstudy", "--format", name]) == 0
    assert capsys.readouterr().out == f"as {name}\n"


@pytest.mark.parametrize("name", ["SLEEPSTUDY", "cake", "ergoStool"])
def test_bundled_names_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A bundled name is meant even where a file has the same name."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("not a table")
    pd.testing.assert_frame_equal(read_table(name), datasets.load(name))


@pytest.mark.parametrize(
    ("file", "separator"),
    [("a.csv", ","), ("a.csv.gz", ","), ("a.tsv", "\t"), ("a.b.tsv.gz", "\t"), ("A.CSV", ",")],
)
def test_text_files(tmp_path: Path, file: str, separator: str) -> None:
    """CSV and TSV are read, compressed or not."""
    frame = pd.DataFrame({"x": [1.5, 2.5], "g": ["a", "b"]})
    path = tmp_path / file
    frame.to_csv(path, sep=separator, index=False)
    pd.testing.assert_frame_equal(read_table(str(path)), frame)


def test_parquet_files(tmp_path: Path) -> None:
    """Parquet keeps the types, factors included."""
    path = tmp_path / "cake.parquet"
    datasets.load("cake").to_parquet(path)
    pd.testing.assert_frame_equal(read_table(str(path)), datasets.load("cake"))


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra that brings pyarrow."""

    def refuse(*_: object, **__: object) -> None:
        raise ImportError("pyarrow")

    monkeypatch.setattr(pd, "read_parquet", refuse)
    with pytest.raises(MissingDependencyError, match=r"ranef\[arrow\]"):
        read_table("a.parquet")


@pytest.mark.parametrize(
    ("file", "content", "error", "message"),
    [
        ("missing.csv", None, DataError, r"cannot read .*missing\.csv: No such file"),
        ("missing.parquet", None, DataError, r"cannot read .*missing\.parquet: "),
        ("slepstudy", None, OptionError, r"Did you mean 'sleepstudy'\?"),
        ("empty.csv", b"", DataError, r"cannot read .*empty\.csv: "),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", DataError, r"cannot read .*ragged\.csv: "),
        ("binary.csv", b"\xff\xfe\x00\x81", DataError, r"cannot read .*binary\.csv: "),
        ("plain.csv.gz", b"a,b\n1,2\n", DataError, r"cannot read .*plain\.csv\.gz: "),
        ("cut.csv.gz", b"\x1f\x8b\x08\x00", DataError, r"cannot read .*cut\.csv\.gz: "),
        ("bad.parquet", b"PAR1", DataError, r"cannot read .*bad\.parquet: "),
        ("table.xlsx", b"", OptionError, r"\.csv, \.csv\.gz, \.tsv, \.tsv\.gz or \.parquet"),
        ("table", b"a,b\n1,2\n", OptionError, r"\.csv, \.csv\.gz, \.tsv, \.tsv\.gz or \.parquet"),
    ],
)
def test_unusable_files(
    tmp_path: Path, file: str, content: bytes | None, error: type[RanefError], message: str
) -> None:
    """Whatever is wrong with a file is said in one sentence about that file."""
    path = tmp_path / file
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        read_table(str(path) if path.suffix or content is not None else file)


@pytest.mark.parametrize(
    "error",
    [
        FormulaError("there is no response", "~ x", (0, 1)),
        DataError("the data have no rows"),
        FitError("the model is not identified"),
        MissingDependencyError.from_extra("nlopt", "all"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_end_with_a_message(
    fit: StandInFit, capsys: pytest.CaptureFixture[str], error: RanefError
) -> None:
    """Every error of ranef becomes one message on standard error, and exit code 2."""
    fit.error = error
    assert main([FORMULA, "sleepstudy"]) == 2
    assert capsys.readouterr() == ("", f"ranef: {error}\n")


def test_mistakes_in_ranef_are_not_hidden(fit: StandInFit) -> None:
    """An error that ranef does not raise on purpose keeps its traceback."""
    fit.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        main([FORMULA, "sleepstudy"])


def test_warnings_are_one_sentence(fit: StandInFit, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of ranef is shown on standard error without a place in the source."""
    fit.warning = ConvergenceWarning("no optimum was found")
    assert main([FORMULA, "sleepstudy"]) == 0
    assert capsys.readouterr() == ("as text\n", "ranef: warning: no optimum was found\n")


def test_an_interrupt_is_quiet(fit: StandInFit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with the exit code that shells expect."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ranef, "fit", interrupt)
    assert main([FORMULA, "sleepstudy"]) == 130


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [FORMULA],
        [FORMULA, "sleepstudy", "--optimizer", "magic"],
        [FORMULA, "sleepstudy", "--format", "pdf"],
        [FORMULA, "sleepstudy", "--contrasts", "A"],
        [FORMULA, "sleepstudy", "--contrasts", "A=effect"],
        [FORMULA, "sleepstudy", "--contrasts", ""],
        [FORMULA, "sleepstudy", "--contrasts", "=sum"],
    ],
    ids=" ".join,
)
def test_wrong_usage(
    fit: StandInFit, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Missing arguments and values that are not allowed print the usage; nothing is fitted."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ranef")
    assert fit.formula == ""


def test_help_names_the_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    """--help tells what DATA may be."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in datasets.list())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints one line."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("ranef ")


def test_a_process_reports_errors_without_a_traceback() -> None:
    """Run as a program, a wrong name gives exit code 2 and one message."""
    done = _run([FORMULA, "slepstudy"], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ranef: DATA") and "Traceback" not in done.stderr


def test_a_broken_pipe_is_quiet() -> None:
    """Writing to a reader that is gone leaves no trace on standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = _run([FORMULA, "sleepstudy"], stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_fits_sleepstudy() -> None:
    """Run as a program, the example of the README prints the numbers of lme4."""
    done = _run([FORMULA, "sleepstudy"], stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1743.6" in done.stdout  # the REML criterion
    assert "251.405" in done.stdout and "10.467" in done.stdout  # the fixed effects


def _run(arguments: list[str], stdout: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ranef", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )


# what read.csv(text, stringsAsFactors = TRUE) of R 4.2.2 makes of the columns a to d; an empty
# text is a level there, and missing here, like an empty number
MISSING = """a,b,c,d,e
1,NaN,nan,x,NaN
2,1,2,None,p
3,2,5,N/A,nan
NA,1,,null,NA
4,Inf,inf,nan,NA
5,2.5,1,,q
6,4,1,NULL,q
"""


def test_only_empty_fields_and_na_are_missing(tmp_path: Path) -> None:
    """Words that other programs take for missing values are levels, as in R."""
    path = tmp_path / "missing.csv"
    path.write_text(MISSING)
    table = read_table(str(path))
    inf, nan = float("inf"), float("nan")
    assert table["a"].tolist() == pytest.approx([1, 2, 3, nan, 4, 5, 6], nan_ok=True)
    assert table["b"].tolist() == pytest.approx([nan, 1, 2, 1, inf, 2.5, 4], nan_ok=True)
    assert table["c"].tolist() == pytest.approx([nan, 2, 5, nan, inf, 1, 1], nan_ok=True)
    assert table["d"].dropna().tolist() == ["x", "None", "N/A", "null", "nan", "NULL"]
    assert table["e"].dropna().tolist() == ["NaN", "p", "nan", "q", "q"]


def test_no_level_is_lost_between_file_and_model(tmp_path: Path) -> None:
    """A factor with the levels `None`, `null` and `N/A` keeps all its rows."""
    path = tmp_path / "levels.csv"
    levels = ["None", "null", "N/A", "b"]
    rows = [f"{(7 * i) % 11},{levels[i % 4]},{i % 5}" for i in range(40)]
    path.write_text("\n".join(["y,f,g", *rows]))
    model = ranef.fit("y ~ f + (1 | g)", read_table(str(path)))
    assert model.nobs == 40
    assert model.fixef.index.tolist() == ["Intercept", "f[T.None]", "f[T.b]", "f[T.null]"]
