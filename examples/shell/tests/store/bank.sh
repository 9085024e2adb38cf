#!/bin/sh
. tests/database.sh
[ "${LEDGER_BANK:-}" ] || { echo "LEDGER_BANK names no bank to talk to"; exit 77; }
curl --fail --silent "$LEDGER_BANK/ping"
