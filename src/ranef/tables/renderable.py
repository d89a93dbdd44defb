"""The base of everything that prints: one document, shown four ways.

A result says what it has to say in `document`; this class turns that into text for terminals, HTML
for notebooks, and Markdown and LaTeX on request. Subclasses implement `document` and override
nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ranef.tables.document import Document
from ranef.tables.html import render_html
from ranef.tables.latex import render_latex
from ranef.tables.markdown import render_markdown
from ranef.tables.text import render_text


class Renderable(ABC):
    """Something with a `Document`, printable in every format."""

    __slots__ = ()

    @abstractmethod
    def document(self) -> Document:
        """Return what there is to print, free of any output format."""

    def to_text(self) -> str:
        """Return plain text, as R prints it; ``print`` shows the same."""
        return render_text(self.document())

    def to_html(self) -> str:
        """Return an HTML fragment; notebooks show the same."""
        return render_html(self.document())

    def to_markdown(self) -> str:
        """Return GitHub-flavoured Markdown with pipe tables."""
        return render_markdown(self.document())

    def to_latex(self) -> str:
        r"""Return LaTeX that needs ``\usepackage{booktabs}``."""
        return render_latex(self.document())

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()
