"""Latency targets: the curve, the rule, and the learner."""
