"""The only importer of pyspark: session, stage bodies, and the Spark side of cross-document steps."""
