"""What an error means: its category, its status, how long to wait, and whether it may have cost money."""
