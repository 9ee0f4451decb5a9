"""The lab: traces read back, thresholds tuned from them, and the demo."""
