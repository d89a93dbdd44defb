"""Draw the pictures of docs/gallery.md: run its blocks, and save each under the name below it.

python tools/draw_gallery.py
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image

matplotlib.use("agg")
from matplotlib import pyplot

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```\n(.*?)(?=```python|\Z)", re.DOTALL)
PICTURE = re.compile(r"\]\(images/(\w+\.png)\)")


def main() -> None:
    """Write the pictures, with few colours to keep them small."""
    namespace: dict[str, Any] = {}
    for block, after in BLOCK.findall((DOCS / "gallery.md").read_text(encoding="utf-8")):
        exec(block, namespace)
        name = PICTURE.search(after)
        if name:
            drawn = io.BytesIO()
            pyplot.figure(pyplot.get_fignums()[-1]).savefig(drawn, dpi=110)
            image = Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE)
            image.save(DOCS / "images" / name[1], optimize=True)
        pyplot.close("all")


if __name__ == "__main__":
    main()
