"""Printing: one neutral document model, one set of number formats, four renderers.

- `document` holds what is printed; `format`, `abbreviate` and `coefficient_names` make numbers and
  names into text; `mapping` keeps the views of results short;
- `text`, `html`, `markdown` and `latex` render a document; `renderable` gives a result all four;
- `variances` and `coefficients` lay out the tables that several results share;
- `summary` is the summary of a fitted model, which it sees through `protocols` only.

Nothing here imports a model, so that any result may print itself through these modules.
"""
