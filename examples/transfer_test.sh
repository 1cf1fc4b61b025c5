#!/usr/bin/env bash
# transfer_test.sh RECEIVER SENDER: what the sender sends is what the receiver shows.
set -euo pipefail
exec {out}< <(exec "$1")
receiver=$!
trap 'kill "$receiver" 2> /dev/null || true' EXIT
read -r -u "$out" -t 60 endpoint
"$2" "$endpoint" 'a mooncake for you'
read -r -u "$out" -t 60 text
[[ $text == 'a mooncake for you' ]] || { echo "the receiver shows \"$text\""; exit 1; }
if "$2" 127.0.0.1:1 text 2> /dev/null; then echo 'a sender without a receiver does not fail'; exit 1; fi
