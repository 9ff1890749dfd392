"""One Airflow DAG by which people set target tags back to what they were."""

from pathlib import Path

from image_promotion.dag_builder import policies_folder
from image_promotion.rollback_dag import build_rollback_dag

POLICIES = policies_folder(Path(__file__).resolve().parents[1] / "include" / "policies")

# Airflow passes over files in which it does not find the words "airflow" and "dag".
globals().update(build_rollback_dag(POLICIES))
