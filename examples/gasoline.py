"""Cars per head in eighteen countries: what differs within countries, and what between them.

The logarithm of the number of cars per head, 1960 to 1978, is explained by time, income and the
price of gasoline. Rich countries have more cars, and a country that becomes richer buys more. A
regression over all rows mixes the two. With a random intercept every country keeps its own level,
and the slopes come almost entirely from the changes within countries.
"""

import numpy as np

import ranef

data = ranef.datasets.load("gasoline")
data["time"] = data["year"] - 1960
slopes = ["time", "lincomep", "lrpmg"]

model = ranef.fit("lcarpcap ~ time + lincomep + lrpmg + (1 | country)", data)
print(model.summary())

y = data["lcarpcap"].to_numpy()
X = data[slopes].to_numpy()
ones = np.ones((len(data), 1))
ordinary = np.linalg.lstsq(np.hstack([ones, X]), y)[0][1:]

# The within estimator of econometrics: subtract every country's means first.
means = data.groupby("country", observed=True)[["lcarpcap", *slopes]].transform("mean")
centred = data[["lcarpcap", *slopes]] - means
within = np.linalg.lstsq(centred[slopes].to_numpy(), centred["lcarpcap"].to_numpy())[0]

print("\nThree estimates of the slopes:")
print(f"{'':10}{'all rows':>10}{'within':>10}{'mixed':>10}")
for j, name in enumerate(slopes):
    print(f"{name:10}{ordinary[j]:10.4f}{within[j]:10.4f}{model.fixef[name]:10.4f}")

between = model.VarCorr.sd["country"]["Intercept"]
share = between**2 / (between**2 + model.sigma**2)
print(f"\nOf the variance that the slopes leave, {share:.1%} lies between countries.")

effects = model.ranef["country"]["Intercept"].sort_values()
print("Fewest cars at given income, price and time: " + ", ".join(effects.index[:3]))
print("Most cars: " + ", ".join(effects.index[:-4:-1]))
