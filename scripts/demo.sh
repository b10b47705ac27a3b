#!/usr/bin/env bash
# The four stages on data/sample, then the funnel: scripts/demo.sh [--set key=value ...] (passed to every stage).
# PROFILE=report takes stage 1 as the report has it, from configs/report; the default, fast, gives the better text (docs/lines.md).
# Starts afresh: what an earlier demo left in out/demo is removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
# Everything runs on this machine: no need that its host name resolves.
export SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}

case ${PROFILE:=fast} in
    fast) echo "profile fast: the line model extracts in stage 1, whose text is the better (PROFILE=report for the report's order)" ;;
    report) echo "profile report: trafilatura in stage 1, the line model in stage 3 (PROFILE=fast, the default, gives better text)" ;;
    *) echo "unknown PROFILE '$PROFILE'; expected fast or report" >&2; exit 2 ;;
esac
rm -rf out/demo
SECONDS=0
for stage in preparation rule_based model_based tokenization; do
    echo "== $stage"
    config=configs/$stage.yaml
    [ -f "configs/demo/$stage.yaml" ] && config=configs/demo/$stage.yaml
    [ "$PROFILE" = report ] && [ -f "configs/report/$stage.yaml" ] && config=configs/report/$stage.yaml
    spark-submit --driver-java-options -Dlog4j2.configurationFile=pipeline/spark/log4j2.properties \
        "jobs/$stage.py" --config "$config" "$@"
done
echo
corpusmill funnel out/demo
corpusmill report out/demo >/dev/null
echo
echo "demo: $SECONDS s; results in out/demo/<stage>/documents, shards in out/demo/tokenization"
echo "open out/demo/report.html: what every step dropped, and why"
