"""Complete, no and partial pooling: three ways to draw a line for each of eighteen people.

Reaction times rise while people sleep too little. How fast do they rise for one person?

* Complete pooling: one line for everybody, by least squares. Ignores that people differ.
* No pooling: a line of their own for everybody. Ignores that people resemble each other.
* Partial pooling: a mixed model, which estimates how much people differ and weighs accordingly.
"""

import numpy as np
import pandas as pd

import ranef


def line(rows: pd.DataFrame) -> np.ndarray:
    """Return intercept and slope of a least-squares line."""
    X = np.column_stack([np.ones(len(rows)), rows["Days"]])
    return np.linalg.lstsq(X, rows["Reaction"].to_numpy())[0]


def lines(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a least-squares line for every subject."""
    own = {subject: line(part) for subject, part in rows.groupby("Subject", observed=True)}
    return pd.DataFrame.from_dict(own, orient="index", columns=["Intercept", "Days"])


data = ranef.datasets.load("sleepstudy")
pooled = line(data)
own = lines(data)
model = ranef.fit("Reaction ~ Days + (Days | Subject)", data)
mixed = model.coef["Subject"]

table = pd.DataFrame(
    {
        "own level": own["Intercept"],
        "mixed level": mixed["Intercept"],
        "own slope": own["Days"],
        "mixed slope": mixed["Days"],
        "slope moved": mixed["Days"] - own["Days"],
    }
).sort_values("own slope")
print(f"Pooled: level {pooled[0]:.1f} ms on day 0, slope {pooled[1]:.2f} ms per day.")
print("A line of their own for everybody, and the line that the mixed model gives them:\n")
print(table.round(2).to_string())

# Level and slope move together, so a slope alone may move away. Distances between lines, in the
# units of the spread between people that the model has estimated, all shrink.
precision = np.linalg.inv(model.VarCorr.cov["Subject"].to_numpy())


def distance(deviation: pd.DataFrame) -> np.ndarray:
    """Return how far every line is from the average line."""
    return np.sqrt(np.einsum("ij,jk,ik->i", deviation, precision, deviation))


slopes_nearer = (abs(mixed["Days"] - pooled[1]) < abs(own["Days"] - pooled[1])).sum()
lines_nearer = (distance(mixed - model.fixef) < distance(own - model.fixef)).sum()
spread_own, spread_mixed = own["Days"].std(), mixed["Days"].std()
print(f"\nPulled in: {slopes_nearer} of {len(own)} slopes, {lines_nearer} of {len(own)} lines.")
print(f"Standard deviation of the slopes: {spread_own:.2f} own, {spread_mixed:.2f} mixed.")

# Is that any good? Draw the lines through days 0 to 5 and forecast days 6 to 9.
seen, later = data[data["Days"] <= 5], data[data["Days"] > 5]
everybody = pd.DataFrame([line(seen)] * len(own), index=own.index, columns=own.columns)
early = ranef.fit("Reaction ~ Days + (Days | Subject)", seen)


def error(by_subject: pd.DataFrame) -> float:
    """Return the root mean squared error of forecasts for the later days."""
    per_row = by_subject.loc[later["Subject"]].to_numpy()
    forecast = per_row[:, 0] + per_row[:, 1] * later["Days"].to_numpy()
    return float(np.sqrt(np.mean((later["Reaction"].to_numpy() - forecast) ** 2)))


errors = {
    "complete pooling": error(everybody),
    "no pooling": error(lines(seen)),
    "partial pooling": error(early.coef["Subject"]),
}
print("\nError of forecasts for days 6 to 9, in milliseconds:")
for name, value in errors.items():
    print(f"  {name:16} {value:5.1f}")
