"""Studies of models: what a recipe costs, runs compared, load of experts, corpora compared."""
