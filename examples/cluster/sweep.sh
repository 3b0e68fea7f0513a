#!/usr/bin/env bash
# Start the sweep NAME in the Ray cluster that this machine is part of, or resume it where it
# exists. More words are options of `python -m sweep ablation`:
#   NAME=mine RESULTS=/shared/results sweep.sh --epochs 20
set -euo pipefail

: "${NAME:?give the sweep a name, such as NAME=mine}"
: "${RESULTS:?name the shared folder of results, such as RESULTS=/shared/results}"
if [ ! -s "$RESULTS/runs/$NAME/journal.jsonl" ]; then
  exec python -m sweep ablation --dataset cifar10 --data-dir "$RESULTS/../data" \
    --address auto --results "$RESULTS" --name "$NAME" "$@"
fi
# A driver that was lost with its machine counts as running for two minutes, in which resuming is
# refused with exit code 2. RESUME=--force says that it does not run elsewhere.
for _ in 1 2 3 4; do
  code=0
  python -m sweep resume "$NAME" --address auto --results "$RESULTS" ${RESUME:+"$RESUME"} || code=$?
  [ "$code" -eq 2 ] || exit "$code"
  sleep "${WAIT_SECONDS:-60}"
done
exit 2
