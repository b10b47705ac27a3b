"""Stage 3, model-based filtering (dots.llm1 C.3). Its steps are added here, one file per classifier."""
