# Airflow with the project in it: the same pins, checked by the same hashes, as everywhere else.
FROM apache/airflow:3.3.2

USER root
RUN install --directory --owner=airflow --group=0 /opt/image-promotion
USER airflow

# The pins change seldom, so their layer comes first.
COPY --chown=airflow:0 requirements.txt /opt/image-promotion/
RUN pip install --no-cache-dir --require-hashes --requirement /opt/image-promotion/requirements.txt

# Celery and Redis's client are of the image below, which our pins must not break.
RUN python -c 'import airflow.providers.celery.executors.celery_executor, redis'

COPY --chown=airflow:0 pyproject.toml README.md /opt/image-promotion/
COPY --chown=airflow:0 plugins /opt/image-promotion/plugins
COPY --chown=airflow:0 dags /opt/image-promotion/dags
COPY --chown=airflow:0 include /opt/image-promotion/include
# Editable: the plugins folder that Airflow reads and the installed package are the same files.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable /opt/image-promotion

ENV AIRFLOW__CORE__DAGS_FOLDER=/opt/image-promotion/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/image-promotion/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
