"""The command line: fit one model and print its summary.

``ranef "Reaction ~ Days + (Days | Subject)" sleepstudy`` and ``python -m ranef ...`` are the same.
Everything that can be wrong with the input ends in one message on standard error and exit code 2;
a traceback would mean a mistake in ranef.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
import zlib
from collections.abc import Callable, Sequence
from importlib import metadata
from operator import methodcaller
from pathlib import Path
from typing import Any, TextIO, get_args

import pandas as pd

import ranef
from ranef import datasets
from ranef.errors import DataError, MissingDependencyError, OptionError, RanefError, RanefWarning
from ranef.typing import ContrastName, DdfMethod, OptimizerName, check_choice

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_FORMATS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "markdown": methodcaller("to_markdown"),
    "latex": methodcaller("to_latex"),
    "html": methodcaller("to_html"),
}
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130  # what shells report for a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process where not given.

    Returns
    -------
    int
        0, or 2 where the formula, the data or an option cannot be used.
    """
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            print(_summary(options))
        sys.stdout.flush()
    except RanefError as error:
        print(f"ranef: {error}", file=sys.stderr)
        return _EXIT_USAGE
    except BrokenPipeError:
        # the reader, `head` perhaps, has seen enough: leave nothing to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    return 0


def read_table(source: str) -> pd.DataFrame:
    """Return the bundled data set of this name, or the table in the file at this path.

    Parameters
    ----------
    source : str
        A name from ``ranef.datasets.list()``, which goes first, or a path that ends in ``.csv``,
        ``.tsv`` (both also with ``.gz``) or ``.parquet``. In text files empty fields and
        ``NA`` are missing, as in R, and no other words.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    OptionError
        If it is neither a bundled name nor a file, or a file of another kind.
    DataError
        If the file cannot be read.
    MissingDependencyError
        If it is a Parquet file and pyarrow is not installed.
    """
    if source.lower() in datasets.list():
        return datasets.load(source)
    path = Path(source)
    lower = Path(source.lower())
    ending = lower.with_suffix("").suffix if lower.suffix == ".gz" else lower.suffix
    try:
        if ending in _SEPARATORS:
            return _numbers_with_nan(
                # R's rule: None, null or N/A may well be levels
                pd.read_csv(
                    path, sep=_SEPARATORS[ending], keep_default_na=False, na_values=["", "NA"]
                )
            )
        if ending == ".parquet":
            return pd.read_parquet(path, engine="pyarrow")
    except ImportError as error:
        raise MissingDependencyError.from_extra("pyarrow", "arrow") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:  # parsers raise ValueErrors
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"cannot read {source}: {reason}.") from error
    if path.exists():
        raise OptionError(
            f"DATA must be a file that ends in .csv, .csv.gz, .tsv, .tsv.gz or .parquet, or the"
            f" name of a bundled data set; got {source!r}."
        )
    raise OptionError.from_choice("DATA, where it is not a file,", source, datasets.list())


def _numbers_with_nan(table: pd.DataFrame) -> pd.DataFrame:
    """Make numbers of columns that hold nothing but numbers and NaN."""
    for name in table.select_dtypes(exclude=["number", "bool"]):
        nan = table[name].isin(["NaN", "nan"])
        if nan.any():
            try:
                table[name] = pd.to_numeric(table[name].mask(nan))
            except (TypeError, ValueError):
                continue
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ranef",
        description="Fit a linear mixed-effects model and print its summary.",
        epilog='example: ranef "Reaction ~ Days + (Days | Subject)" sleepstudy',
    )
    parser.add_argument("formula", metavar="FORMULA", help="as in R's lme4, quoted")
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a CSV, TSV or Parquet file, or the name of a bundled data set: "
        + ", ".join(datasets.list()),
    )
    parser.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    parser.add_argument("--weights", metavar="COL", help="column of prior weights")
    parser.add_argument("--offset", metavar="COL", help="column that is added to the prediction")
    parser.add_argument(
        "--contrasts",
        metavar="A=sum,B=helmert",
        type=_contrasts,
        help=f"coding of factors: {', '.join(get_args(ContrastName))}",
    )
    parser.add_argument(
        "--optimizer", choices=get_args(OptimizerName), default="newton", help="default: newton"
    )
    parser.add_argument(
        "--ddf",
        choices=get_args(DdfMethod),
        default="satterthwaite",
        help="degrees of freedom of the tests; default: satterthwaite",
    )
    parser.add_argument(
        "--format", choices=tuple(_FORMATS), default="text", help="of the output; default: text"
    )
    parser.add_argument("--version", action="version", version=f"ranef {_version()}")
    return parser


def _contrasts(text: str) -> dict[str, str]:
    """Read ``A=sum,B=helmert``."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    chosen = {name.strip(): coding.strip() for name, _, coding in pairs}
    try:
        for name, coding in chosen.items():
            check_choice(f"the coding of {name!r}", coding, ContrastName)
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if "" in chosen:
        raise argparse.ArgumentTypeError(f"no factor is named in {text!r}")
    return chosen


def _version() -> str:
    try:
        return metadata.version("ranef")
    except metadata.PackageNotFoundError:  # a source tree on the path, not installed
        return "of unknown version"


def _summary(options: argparse.Namespace) -> str:
    data = read_table(options.data)
    model = ranef.fit(
        options.formula,
        data,
        reml=not options.ml,
        weights=options.weights,
        offset=options.offset,
        contrasts=options.contrasts,
        optimizer=options.optimizer,
    )
    return _FORMATS[options.format](model.summary(ddf=options.ddf))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show ranef's own warnings as one sentence, others as Python does."""
    if issubclass(category, RanefWarning):
        text = f"ranef: warning: {message}\n"
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
    sys.stderr.write(text)


if __name__ == "__main__":
    sys.exit(main())
