"""Which experts take which documents: load by language, source, category or domain, and over training."""
