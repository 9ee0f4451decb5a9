"""Policies: valid once built, refused with the reason otherwise."""
