#!/bin/sh
set -eu
echo "preparing data folder"
mkdir -p "$CORPUS_DIR/data"
ls --no-such-option "$CORPUS_DIR/data"
exec my-service
