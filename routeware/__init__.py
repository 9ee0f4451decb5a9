"""Middleware for asyncio applications: failover, racing, budgets and traces for any async provider function."""

from routeware.budget import Balance, Ledger, MemoryLedger, Session, Tally, current_session, session
from routeware.classify import ErrorSnapshot
from routeware.decorator import Routed, RoutedGenerator, RoutedStream, routed
from routeware.engine import Attempt, current_attempt
from routeware.errors import (
    AttemptTimeoutError,
    BudgetExceededError,
    DeadlineExceededError,
    ErrorCategory,
    ExhaustedError,
    LedgerUnavailableError,
    NoSessionError,
    PolicyError,
    ProviderCancelledError,
    ResultRejectedError,
    RoutewareError,
    SessionClosedError,
    StreamClosedError,
    StreamTruncatedError,
)
from routeware.health import Health, LinkHealth
from routeware.money import Price, Tariff, Usage
from routeware.policy import (
    BudgetRules,
    FailoverRules,
    LatencyRules,
    Link,
    ObserveRules,
    OnExceed,
    RoutingPolicy,
)
from routeware.pricing import PriceBook
from routeware.pricing.chunks import has_output, is_final
from routeware.records import (
    AttemptRecord,
    AttemptStatus,
    AttemptTrigger,
    CallRecord,
    Outcome,
    RoutingDecision,
    record_of,
)

__all__ = [
    "Attempt",
    "AttemptRecord",
    "AttemptStatus",
    "AttemptTimeoutError",
    "AttemptTrigger",
    "Balance",
    "BudgetExceededError",
    "BudgetRules",
    "CallRecord",
    "DeadlineExceededError",
    "ErrorCategory",
    "ErrorSnapshot",
    "ExhaustedError",
    "FailoverRules",
    "Health",
    "LatencyRules",
    "Ledger",
    "LedgerUnavailableError",
    "Link",
    "LinkHealth",
    "MemoryLedger",
    "NoSessionError",
    "ObserveRules",
    "OnExceed",
    "Outcome",
    "PolicyError",
    "Price",
    "PriceBook",
    "ProviderCancelledError",
    "ResultRejectedError",
    "Routed",
    "RoutedGenerator",
    "RoutedStream",
    "RoutewareError",
    "RoutingDecision",
    "RoutingPolicy",
    "Session",
    "SessionClosedError",
    "StreamClosedError",
    "StreamTruncatedError",
    "Tally",
    "Tariff",
    "Usage",
    "current_attempt",
    "current_session",
    "has_output",
    "is_final",
    "record_of",
    "routed",
    "session",
]
