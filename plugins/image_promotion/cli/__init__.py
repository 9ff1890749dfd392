"""The command line `promotion`: the product without a scheduler; it does not import Airflow."""
