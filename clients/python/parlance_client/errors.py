"""The one exception of this package."""

from __future__ import annotations

from typing import Any, Mapping


class ParlanceError(Exception):
    """The server refused a call, or could not be reached.

    status: the HTTP status, also of refusals over a WebSocket; None where no answer came.
    detail: what was wrong, as a sentence.
    request_id: what the server's log calls the request; None where it told none.
    retry_after: after how many seconds a new try makes sense; None where the server does not say.
    """

    def __init__(self, detail: str, *, status: int | None = None, request_id: str | None = None,
                 retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        about = [str(self.status)] if self.status is not None else []
        about += [f"request {self.request_id}"] if self.request_id else []
        return f"{self.detail} ({', '.join(about)})" if about else self.detail

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later: the server was away, busy or starting."""
        return self.status in (None, 429, 502, 503, 504)


def refusal(status: int, headers: Mapping[str, str], body: Any = None) -> ParlanceError:
    """What a response that is no success says. `body` is the decoded JSON, if there is any."""
    problem = body if isinstance(body, dict) else {}
    detail = problem.get("detail") or problem.get("title") or f"the server answered {status}"
    return ParlanceError(str(detail), status=status,
                         request_id=headers.get("X-Request-Id") or problem.get("instance"),
                         retry_after=seconds(headers.get("Retry-After")))


def seconds(text: str | None) -> float | None:
    """A `Retry-After` in seconds; None for anything else, such as a date."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
