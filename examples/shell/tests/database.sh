# Sourced by the tests of the store: a database that nobody else knows, dropped however the test ends.
set -eu
database=$ORCHESTRATE_RESOURCE_DATABASE
ledger create "$database"
trap 'ledger drop "$database"' EXIT
trap 'exit 143' TERM # a timeout asks us to end: without this, the shell would go and not run the line above
