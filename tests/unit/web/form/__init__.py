"""Airflow's server is loaded here, before the tests: it warns of itself when it is."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import airflow.api_fastapi.app  # noqa: F401
