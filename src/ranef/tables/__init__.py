"""Printing: one neutral document model, one set of number formats, four renderers.

- `document` holds what is printed; `format` and `abbreviate` make numbers and names into text;
- `text`, `html`, `markdown` and `latex` render a document; `renderable` gives a result all four;
- `summary` is the summary of a fitted model.

All but `summary` know nothing about models, so that any result may print itself through them.
"""
