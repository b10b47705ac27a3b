"""Which of two corpora teaches more: small models, the same tokens, several seeds, held-out text."""
