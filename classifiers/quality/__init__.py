"""Quality of a text (dots.llm1 C.3, the quality model)."""
