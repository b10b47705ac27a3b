"""Which kind of page it is (dots.llm1 C.3, the web-type classifier)."""
