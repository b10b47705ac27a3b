"""Stage 2, rules: line and near-duplicate removal, quality rules.

    spark-submit jobs/rule_based.py --config configs/rule_based.yaml \
        [--set 'input.paths=[out/preparation]' --set output.path=out/rule_based]

Values of `--set` are YAML. Reads the kept documents of outputs of stage 1; writes `documents/verdict=kept|dropped/`.
"""

from pipeline.console.app import main
from pipeline.console.run import stage_job

if __name__ == "__main__":
    raise SystemExit(main(command=stage_job("rule_based")))
