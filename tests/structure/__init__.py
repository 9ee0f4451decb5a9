"""The code's own shape: layers and public names."""
