"""From observed attempts to the moment at which a backup starts, so that 95 % of calls answer within a target.

Pure: whoever calls says what time it is and what was observed. The curve, the window, the rule and the learner are a
page each; the engine knows the learner only.

Sources: Kaplan & Meier 1958, nonparametric estimation from incomplete observations. Dean & Barroso 2013, The Tail at
Scale. Kaler, He & Elnikety 2017, Optimal Reissue Policies for Reducing Tail Latency (SPAA).
"""

from routeware.threshold.curve import Curve, kaplan_meier
from routeware.threshold.facts import Decision, LatencyReport, LinkReport, RaceSource, RoleReport
from routeware.threshold.learner import Learner
from routeware.threshold.memory import Memory
from routeware.threshold.window import Ended, LinkHistory, Window

__all__ = [
    "Curve",
    "Decision",
    "Ended",
    "LatencyReport",
    "Learner",
    "LinkHistory",
    "LinkReport",
    "Memory",
    "RaceSource",
    "RoleReport",
    "Window",
    "kaplan_meier",
]
