"""Triggers as objects: each judges the facts about an image and explains its verdict.

`verdict` is what they return; `logic` nests them; the others are what they look at. What a policy
file and DTR call a trigger is a criterion here, since Airflow's triggers are something else.
"""
