"""What the product adds to Airflow's own server; only that process imports it."""
