#!/bin/sh
# Serve Footnote for a first look, without keys and on this machine only: sh infra/run.sh FOOTNOTE
# An empty data folder first gets the sample company's documents and its gold set.
set -eu
footnote=$1
export FOOTNOTE_AUTH=off FOOTNOTE_HOST=127.0.0.1 FOOTNOTE_PORT="${PORT:-8000}"
pending=$FOOTNOTE_DATA_DIR/.sample-pending
mkdir -p "$FOOTNOTE_DATA_DIR"
# The mark stays until all is in, so that an interrupted first start is finished by the next one.
[ -n "$(ls -A "$FOOTNOTE_DATA_DIR")" ] || : >"$pending"
if [ -e "$pending" ]; then
    echo "Reading the sample company's documents…"
    "$footnote" ingest evals/data/company --manifest evals/data/company.jsonl
    "$footnote" eval import footnote evals/data/goldset.jsonl --name company
    rm -f "$pending"
fi
exec "$footnote" serve --example "${EXAMPLE:-What do the documents say?}"
