"""Stage 1, document preparation: crawl files to text.

    spark-submit jobs/preparation.py --config configs/preparation.yaml \
        [--set 'input.paths=[crawl.warc.gz, folder/]' --set output.path=out/preparation]

Values of `--set` are YAML. Reads WARC, ARC, WET, JSONL and Parquet; writes `documents/verdict=kept|dropped/`.
"""

from pipeline.spark.stages import main

if __name__ == "__main__":
    raise SystemExit(main("preparation"))
