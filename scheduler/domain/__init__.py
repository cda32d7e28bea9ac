"""The business's own words and rules, on the standard library alone."""
