"""A shop's basket, and the store that keeps it."""
