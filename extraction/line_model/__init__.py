"""The line model: a score for each line of a page, and the choice of the lines that are kept. Predicting only."""
