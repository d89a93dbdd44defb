"""A repeated-measures analysis of variance, and the mixed model that it is.

Nine people tried four stools each. Textbooks split the sum of squares into stools, people and rest,
and test stools against rest. The mixed model `effort ~ Type + (1 | Subject)` gives the same
variances and the same F; unlike the textbook it also copes with people who left a stool out.
"""

import numpy as np
import pandas as pd

import ranef

data = ranef.datasets.load("ergostool")
table = data.pivot(index="Subject", columns="Type", values="effort").to_numpy()
people, stools = table.shape

# By sums of squares.
grand = table.mean()
of_stools = people * ((table.mean(axis=0) - grand) ** 2).sum()
of_people = stools * ((table.mean(axis=1) - grand) ** 2).sum()
of_rest = ((table - grand) ** 2).sum() - of_stools - of_people
ms_stools = of_stools / (stools - 1)
ms_people = of_people / (people - 1)
ms_rest = of_rest / ((people - 1) * (stools - 1))
anova = {
    "F": ms_stools / ms_rest,
    "variance of people": (ms_people - ms_rest) / stools,
    "variance of the rest": ms_rest,
}

# By the mixed model: F is the Wald quadratic form of the three differences between stools.
model = ranef.fit("effort ~ Type + (1 | Subject)", data)
names = [name for name in model.fixef.index if name != "Intercept"]
differences = model.fixef[names].to_numpy()
covariance = model.vcov.loc[names, names].to_numpy()
mixed = {
    "F": differences @ np.linalg.solve(covariance, differences) / len(names),
    "variance of people": model.VarCorr.cov["Subject"].loc["Intercept", "Intercept"],
    "variance of the rest": model.sigma**2,
}

print(f"{'':8}{'sum of squares':>16}{'df':>6}{'mean square':>14}")
print(f"{'stools':8}{of_stools:16.4f}{stools - 1:6}{ms_stools:14.4f}")
print(f"{'people':8}{of_people:16.4f}{people - 1:6}{ms_people:14.4f}")
print(f"{'rest':8}{of_rest:16.4f}{(people - 1) * (stools - 1):6}{ms_rest:14.4f}")
print(f"\n{pd.DataFrame({'anova': anova, 'mixed': mixed}).round(4).to_string()}")

# Two measurements are lost. The sums of squares no longer add up; the model does not mind.
incomplete = ranef.fit("effort ~ Type + (1 | Subject)", data.drop(index=[0, 20]))
print(f"\nWithout two of the {len(data)} measurements:")
print(incomplete.coef_table()[["estimate", "std_error"]].round(4).to_string())
