"""No DAG: fails with everything that is wrong in include/policies, so that Airflow shows it.

Airflow keeps import errors by DAG file, and a file that raises loses all its DAGs. Hence two files.
"""

from pathlib import Path

from image_promotion.dag_builder import policies_folder, refuse_broken_policies

POLICIES = policies_folder(Path(__file__).resolve().parents[1] / "include" / "policies")

refuse_broken_policies(POLICIES)
