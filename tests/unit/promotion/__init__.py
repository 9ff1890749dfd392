"""Tests of promotion/: plain functions over stores in memory and a ledger in a file."""
