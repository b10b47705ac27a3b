"""Look at what stages made: funnel, samples, verdicts of one page, other thresholds, the report. Needs no Spark."""
