"""The line-level clutter model: which lines of a page are its main content (dots.llm1 C.3)."""
