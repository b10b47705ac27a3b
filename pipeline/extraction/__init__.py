"""HTML bytes to text: decoding, engines, line structure. Usable alone."""
