"""The largest sites of an output: documents, characters, kept share, commonest lines, samples.

    spark-submit jobs/sites.py --output out/rule_based --top 1000 --report sites.json

For an output that one machine reads in minutes, `python -m pipeline.inspection.sites` does the same without Spark.
"""

from pipeline.spark.sites import main

if __name__ == "__main__":
    raise SystemExit(main())
