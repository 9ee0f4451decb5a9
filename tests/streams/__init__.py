"""Streams: routed to the first item, money and spans to the last."""
