"""Stage 4, tokens: count them, solve the mixture, write shards.

    spark-submit jobs/tokenization.py --config configs/tokenization.yaml \
        [--set 'input.paths=[out/model_based]' --set output.path=out/tokenization]

Values of `--set` are YAML. Reads the kept documents of outputs of stage 3; writes `documents/verdict=kept|dropped/` and
the shards that `pipeline/tokenization/SHARDS.md` specifies.
"""

from pipeline.console.app import main
from pipeline.console.run import stage_job

if __name__ == "__main__":
    raise SystemExit(main(command=stage_job("tokenization")))
