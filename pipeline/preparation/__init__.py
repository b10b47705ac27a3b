"""Stage 1, document preparation (dots.llm1 C.1): records to clean text of known language."""
