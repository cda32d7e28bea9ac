"""Whether the service still does as well as it did."""
