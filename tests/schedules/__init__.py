"""Random schedules: worlds of providers, budgets and cancellations, and what holds in every one of them."""
