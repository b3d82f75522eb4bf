#!/bin/bash
until python3 -c 'import socket,sys; socket.create_connection((sys.argv[1], 5432), 1)' "$CORPUS_HOST" 2>/dev/null; do
  echo "Postgres is unavailable - sleeping"
  sleep 0.5
done
exec sleep 600
