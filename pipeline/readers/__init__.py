"""Open crawl files and tables of rows, and read their records one after the other."""
