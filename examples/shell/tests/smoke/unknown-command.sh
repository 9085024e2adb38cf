#!/bin/sh
ledger frobnicate none
[ $? -eq 2 ]
