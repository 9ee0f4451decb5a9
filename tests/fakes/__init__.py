"""What tests share: scripted providers, failing clients, the jumping clock, recorded spans."""
