"""Topic of a page: 200 classes (dots.llm1 C.3, category balancing). `labels.yaml` is the only list of them."""
