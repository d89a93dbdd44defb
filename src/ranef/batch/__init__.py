"""Fitting many responses of one design at once: the replicate axis is vectorised.

`responses` says what of a response matters, `structure` takes the design apart into independent
blocks, `criterion` evaluates all replicates at once, `newton` minimises, `certificate` judges, and
`refit` puts them together. `parametric` draws the responses of a fitted model without rows.
"""
