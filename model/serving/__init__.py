"""Models for inference engines: what each engine reads, conversion, servers of OpenAI's protocol."""
