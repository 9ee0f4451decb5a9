"""Tests against a real Jaeger, built from its published Go module by what go.mod and go.sum here say."""
