"""Tests of metrics as Prometheus reads them: a real scrape, and the queries of docs/metrics.md."""
