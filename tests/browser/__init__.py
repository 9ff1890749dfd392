"""Tests that look at Airflow's pages with a browser."""
