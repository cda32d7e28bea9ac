"""A provider for tests and trials: real protocol, scripted faults, its own bill."""
