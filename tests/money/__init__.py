"""Money of one call: caps, prices, reservations and settlements."""
