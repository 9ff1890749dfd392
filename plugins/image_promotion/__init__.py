"""Image promotion pipelines for Apache Airflow."""
