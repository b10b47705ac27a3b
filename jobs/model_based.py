"""Stage 3, models: page type, clutter lines, quality, semantic duplicates, category.

    spark-submit jobs/model_based.py --config configs/model_based.yaml \
        [--set 'input.paths=[out/rule_based]' --set output.path=out/model_based]

Values of `--set` are YAML. Reads the kept documents of outputs of stage 2; writes `documents/verdict=kept|dropped/`.
"""

from pipeline.console.app import main
from pipeline.console.run import stage_job

if __name__ == "__main__":
    raise SystemExit(main(command=stage_job("model_based")))
