"""Data larger than memory, and data on a cluster: two passes over chunks of rows.

The first pass finds what belongs to whole columns (levels, means, what is missing); the second
sums the cross-products. Chunks are worked on alone and their results merged, so it does not matter
where they come from or how large they are. Afterwards the model is fitted as any other.
"""

from ranef.streaming.fitting import stream_problem
from ranef.streaming.rowless import StreamedBasis, StreamedDesign
from ranef.streaming.source import Source, open_source

__all__ = ["Source", "StreamedBasis", "StreamedDesign", "open_source", "stream_problem"]
