"""Names of things that could occur twice."""

from __future__ import annotations

from collections.abc import Iterable


def make_unique(names: Iterable[str]) -> tuple[str, ...]:
    """Make repeated names differ as R does: the first stays, others get ``.1``, ``.2``.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> make_unique(["Intercept", "Days", "Intercept"])
    ('Intercept', 'Days', 'Intercept.1')
    """
    wanted = list(names)
    taken = set(wanted)
    seen: set[str] = set()
    counts: dict[str, int] = {}
    result: list[str] = []
    for name in wanted:
        unique = name
        while unique in seen or (unique != name and unique in taken):
            counts[name] = counts.get(name, 0) + 1
            unique = f"{name}.{counts[name]}"
        seen.add(unique)
        result.append(unique)
    return tuple(result)
