"""Stage 1, document preparation: crawl files to text.

    spark-submit jobs/preparation.py --config configs/preparation.yaml \
        [--set 'input.paths=[crawl.warc.gz, folder/]' --set output.path=out/preparation]

Values of `--set` are YAML. Reads WARC, ARC, WET, JSONL and Parquet; writes `documents/verdict=kept|dropped/`.
"""

from pipeline.console.app import main
from pipeline.console.run import stage_job

if __name__ == "__main__":
    raise SystemExit(main(command=stage_job("preparation")))
