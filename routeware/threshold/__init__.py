"""From observed attempts to the moments at which backups start, so that 95 % of calls answer within a target.

Pure: the caller passes in the time and what was observed. The engine uses the learner and its windows only; the offline
lab shares the hulls and the buckets.

Sources: Kaplan & Meier 1958, nonparametric estimation from incomplete observations. Dean & Barroso 2013, The Tail at
Scale. Kaler, He & Elnikety 2017, Optimal Reissue Policies for Reducing Tail Latency (SPAA). Everett 1963, Generalized
Lagrange Multiplier Method for Solving Problems of Optimum Allocation of Resources.
"""

from routeware.threshold.buckets import checked_size
from routeware.threshold.learner import Learner, LearnerCache
from routeware.threshold.report import (
    BucketReport,
    LatencyReport,
    LinkReport,
    RoleReport,
    StartReport,
    target_event,
)
from routeware.threshold.rule import Decision, RaceSource
from routeware.threshold.window import Curve, LinkHistory, Observation, Size, Window, kaplan_meier

__all__ = [
    "BucketReport",
    "Curve",
    "Decision",
    "LatencyReport",
    "Learner",
    "LearnerCache",
    "LinkHistory",
    "LinkReport",
    "Observation",
    "RaceSource",
    "RoleReport",
    "Size",
    "StartReport",
    "Window",
    "checked_size",
    "kaplan_meier",
    "target_event",
]
