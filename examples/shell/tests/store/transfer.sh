#!/bin/sh
. tests/database.sh
. "$ACCOUNT"
ledger add "$database" "$name" "$opening"
ledger add "$database" "$name" -250
ledger add "$database" rent 250
[ "$(ledger balance "$database" "$name")" = $((opening - 250)) ]
[ "$(ledger balance "$database" rent)" = 250 ]
