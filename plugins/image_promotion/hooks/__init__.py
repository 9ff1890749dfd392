"""Airflow's connections as the product's values: registries to talk to, the ledger to write to."""
