"""One Airflow DAG for each valid policy in include/policies."""

from pathlib import Path

from image_promotion.dag_builder import build_dags, policies_folder

POLICIES = policies_folder(Path(__file__).resolve().parents[1] / "include" / "policies")

globals().update(build_dags(POLICIES))
