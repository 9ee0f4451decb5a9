"""placeholder: ErrorSnapshot contract until the real module lands"""

from __future__ import annotations

import attrs

from routeware.errors import ErrorCategory


@attrs.frozen(kw_only=True)
class ErrorSnapshot:
    category: ErrorCategory
    message: str
    status: int | None = None
    code: str | None = None
    retry_after_ms: float | None = None
    may_have_cost: bool = True
