"""Which failures of a task are worth a retry: the error says so itself."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Context, RetryDecision, RetryPolicy

from image_promotion.errors import PromotionError, RateLimitedError


class RetryWhatMayPass(RetryPolicy):
    """Retries what may pass by itself and gives up at once on what needs a person.

    A lost connection is tried again; a refused password is not. When a registry says how long to
    wait, the retry waits so long.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Context | None = None,  # noqa: ARG002 - Airflow's signature
    ) -> RetryDecision:
        """Decide about a retry; what is not an error of ours is left to Airflow's own rule."""
        if not isinstance(exception, PromotionError):
            return RetryDecision.default()
        if not exception.retryable:
            return RetryDecision.fail("a retry would meet the same answer")
        if isinstance(exception, RateLimitedError) and exception.retry_after_s:
            delay = timedelta(seconds=exception.retry_after_s)
            return RetryDecision.retry(delay, "the registry asked to wait so long")
        return RetryDecision.default()
