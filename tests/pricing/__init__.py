"""Prices, projections, and usage read from replies."""
