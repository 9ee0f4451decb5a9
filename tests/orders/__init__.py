"""Every order of what is ready in one turn of the loop, for small worlds; random orders for larger ones."""
