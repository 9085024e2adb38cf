#!/bin/sh
. tests/database.sh
for cents in $(seq 100); do
    ledger add "$database" coins "$cents"
done
[ "$(ledger balance "$database" coins)" = 5050 ]
