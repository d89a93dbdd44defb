"""Students rate lecturers: crossed effects at the scale of a university.

73421 ratings from 1 (poor) to 5 (very good) by 2972 students of 1128 lecturers in 14 departments.
Nobody is nested in anybody: three crossed factors. A lecturer with few ratings is judged with
caution, which the conditional standard deviation shows.
"""

import time

import pandas as pd

import ranef

data = ranef.datasets.load("insteval")

start = time.perf_counter()
model = ranef.fit("y ~ service + (1 | s) + (1 | d) + (1 | dept)", data)
seconds = time.perf_counter() - start

print(model.summary())
print(f"\n{model.convergence.message}, in {seconds:.2f} seconds on this machine")

start = time.perf_counter()
spread = model.ranef.sd
seconds = time.perf_counter() - start
print(f"Conditional standard deviations of all effects took another {seconds:.2f} seconds.")


def extremes(group: str) -> pd.DataFrame:
    """Return the five lowest and the five highest effects, with what is known about each."""
    effects = pd.DataFrame(
        {
            "effect": model.ranef[group]["Intercept"],
            "sd": spread[group]["Intercept"],
            "ratings": data[group].value_counts(),
        }
    ).sort_values("effect")
    return pd.concat([effects.head(5), effects.tail(5)]).rename_axis(None)


lecturers, students = extremes("d"), extremes("s")
print("\nThe lecturers who are rated worst and best:")
print(lecturers.round(3).to_string())
print("\nThe strictest and the most lenient students:")
print(students.round(3).to_string())
