"""What finance reads."""
