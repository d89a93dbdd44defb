"""REML by hand: the random-intercept model in thirty lines of numpy, and the same from ranef.

Twelve schools, eight pupils each: y = mu + school + pupil. With theta = sd(school) / sd(pupil),

    Var(y) = sigma^2 V,      V = I + theta^2 Z Z',

and everything but theta can be maximised out of the restricted likelihood. What remains is a
function of one number. It is minimised here on ever finer grids. As the design is balanced, there
is also a closed form: the mean squares of a one-way analysis of variance.
"""

import numpy as np
import pandas as pd

import ranef

schools, pupils = 12, 8
random = np.random.default_rng(2024)
school = np.repeat(np.arange(schools), pupils)
y = 500 + 30 * random.standard_normal(schools)[school] + 60 * random.standard_normal(school.size)

X = np.ones((school.size, 1))
Z = (school[:, None] == np.arange(schools)).astype(float)
nu = school.size - X.shape[1]


def generalised_least_squares(theta: float) -> tuple[np.ndarray, float, float]:
    """Return beta, the residual sum of squares, and the two log-determinants of REML."""
    V = np.eye(school.size) + theta**2 * Z @ Z.T
    XtVX = X.T @ np.linalg.solve(V, X)
    beta = np.linalg.solve(XtVX, X.T @ np.linalg.solve(V, y))
    rest = y - X @ beta
    logdet = np.linalg.slogdet(V)[1] + np.linalg.slogdet(XtVX)[1]
    return beta, rest @ np.linalg.solve(V, rest), logdet


def criterion(theta: float) -> float:
    """Return -2 log restricted likelihood, maximised over beta and sigma."""
    _, squares, logdet = generalised_least_squares(theta)
    return logdet + nu * (1 + np.log(2 * np.pi * squares / nu))


low, high = 0.0, 3.0
while high - low > 1e-9:
    grid = np.linspace(low, high, 21)
    best = int(np.argmin([criterion(theta) for theta in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, 20)]
theta = (low + high) / 2
beta, squares, _ = generalised_least_squares(theta)
sigma = np.sqrt(squares / nu)
by_grid = {"mu": beta[0], "sigma": sigma, "school": theta * sigma, "criterion": criterion(theta)}

means = y.reshape(schools, pupils).mean(axis=1)
within = ((y - means[school]) ** 2).sum() / (schools * (pupils - 1))
between = pupils * ((means - y.mean()) ** 2).sum() / (schools - 1)
closed = {
    "mu": y.mean(),
    "sigma": np.sqrt(within),
    "school": np.sqrt(max(between - within, 0) / pupils),
}
closed["criterion"] = criterion(closed["school"] / closed["sigma"])

model = ranef.fit("y ~ 1 + (1 | school)", {"y": y, "school": school})
by_ranef = {
    "mu": model.fixef["Intercept"],
    "sigma": model.sigma,
    "school": model.VarCorr.sd["school"]["Intercept"],
    "criterion": model.objective,
}

table = pd.DataFrame({"grid": by_grid, "closed form": closed, "ranef": by_ranef})
print(table.round(4).to_string())
difference = (table["ranef"] / table["closed form"] - 1).abs().max()
print(f"\nLargest relative difference between ranef and the closed form: {difference:.0e}")
