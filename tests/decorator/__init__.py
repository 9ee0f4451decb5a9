"""The decorator: what may be decorated, what callers see, and what is registered."""
