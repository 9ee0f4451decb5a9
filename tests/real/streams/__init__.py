"""Real clients that stream from a loopback server."""
