"""Tests within a real Airflow: in this process, and against a running server."""
