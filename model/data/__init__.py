"""Token shards to batches: shards, packing, Untie the Knots, the stream, and torchdata's loader around it."""
