"""Whether a page offers adult content, gambling, or spam (dots.llm1 4.1)."""
