"""Tests of the ledger, on SQLite."""
