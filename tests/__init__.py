"""The promises of routeware, one sentence per test."""
