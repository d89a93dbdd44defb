"""The core's linear algebra: arrays and small frozen records in, the same out."""
