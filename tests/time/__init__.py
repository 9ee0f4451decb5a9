"""Time-outs, deadlines, and events that fall into one turn of the loop."""
