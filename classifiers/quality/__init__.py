"""How good a text is (dots.llm1 C.3, the quality model)."""
