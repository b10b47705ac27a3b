"""Classifiers over plain typed batches; they know neither `pipeline` nor Spark."""
