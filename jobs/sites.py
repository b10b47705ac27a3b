"""The largest sites of an output, as `corpusmill sites` tells of them, counted by Spark.

spark-submit jobs/sites.py out/rule_based --top 1000 --out sites.json
"""

from pipeline.console.app import main
from pipeline.console.look import sites

if __name__ == "__main__":
    raise SystemExit(main(command=sites, spark=True))
