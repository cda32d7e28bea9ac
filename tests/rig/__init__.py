"""What the tests stand on: real servers, and handles on real processes."""
