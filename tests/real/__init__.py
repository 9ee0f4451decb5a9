"""Tests that need real sockets, threads or processes: they run on the ordinary loop."""
