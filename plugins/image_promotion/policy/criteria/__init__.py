"""Triggers as objects: each judges the facts about an image and explains its verdict.

`verdict` is what they return; `text`, `patterns`, `evidence`, `age` are what they look at; `logic`
nests them. What a policy file and DTR call a trigger is a criterion here, since Airflow's triggers
are something else.
"""
