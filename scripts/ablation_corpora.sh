#!/usr/bin/env bash
# The corpora of configs/model/ablation.yaml: three stages over the pages of the extraction benchmarks, and the same pages through
# trafilatura alone: scripts/ablation_corpora.sh DATA [OUT]. DATA holds html/ and warc/ (README.md there), OUT is out/ablation/corpora.
# The standard configs, nothing changed but the paths; held-out sites are in here, model.ablate drops them from every corpus.
# What exists is not made again: each stage goes on or says that it is finished.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ $# -lt 1 ] || [ $# -gt 2 ] || [ ! -f "$1/html/wcxb-dev.warc.gz" ]; then
    echo "usage: scripts/ablation_corpora.sh DATA [OUT]; DATA holds html/wcxb-dev.warc.gz, html/zh-blogs.warc.gz and warc/" >&2
    exit 2
fi
data=$(cd "$1" && pwd)
out=${2:-out/ablation/corpora}
. scripts/env.sh
export SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}
# html/zh-gold.warc.gz stays out: all of its gold text is the Chinese evaluation.
pages="[$data/html/wcxb-dev.warc.gz, $data/html/zh-blogs.warc.gz, $data/warc]"

stage() { # stage NAME CONFIG INPUT OUTPUT
    echo "== $4"
    spark-submit --driver-java-options -Dlog4j2.configurationFile=pipeline/spark/log4j2.properties \
        "jobs/$1.py" --config "$2" --set "input.paths=$3" --set "output.path=$4" "${@:5}"
}

stage preparation configs/preparation.yaml "$pages" "$out/preparation" --set input.source=pages
stage rule_based configs/rule_based.yaml "[$out/preparation]" "$out/rule_based"
stage model_based configs/model_based.yaml "[$out/rule_based]" "$out/model_based"
stage preparation configs/report/preparation.yaml "$pages" "$out/trafilatura" --set input.source=pages
for corpus in "$out"/preparation "$out"/trafilatura; do
    corpusmill funnel "$corpus" || true
done
