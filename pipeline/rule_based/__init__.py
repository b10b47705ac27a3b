"""Stage 2, rule-based filtering (dots.llm1 C.2). Its steps are added here, one file per rule family."""
