"""Real clients of real SDKs over a loopback server, and the table of what each error becomes."""
