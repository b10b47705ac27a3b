"""Apply removal lists (URLs, domains, document ids) to finished outputs and shards, as `corpusmill remove` does.

    spark-submit jobs/remove.py --list takedowns.txt [--list more.txt] out/preparation out/tokenization

The lists belong into `removal_lists` of the stages' configs too, or the next run brings the rows back.
"""

from pipeline.console.app import main
from pipeline.console.run import remove

if __name__ == "__main__":
    raise SystemExit(main(command=remove))
