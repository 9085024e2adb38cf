#!/bin/sh
. tests/database.sh
[ "$(ledger balance "$database" nobody)" = 0 ]
