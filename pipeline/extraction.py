"""The extractor by its old name: `from pipeline.extraction import extract`."""

from extraction import Extraction, extract

__all__ = ["Extraction", "extract"]
