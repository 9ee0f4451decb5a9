"""Tests of the kit for users' own tests."""
