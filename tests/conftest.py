"""Settings for the whole suite: the same examples every time where CI is set."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline anywhere: a busy machine is not a bug.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
