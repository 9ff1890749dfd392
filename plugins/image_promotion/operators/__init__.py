"""One Airflow operator a stage, thin over the functions of promotion/ with the same stems."""
