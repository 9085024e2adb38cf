#!/bin/sh
ledger 2>&1 | grep -q 'balance DATABASE ACCOUNT'
