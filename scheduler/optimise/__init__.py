"""The budgeted assignment problem: many jobs, many options, one budget."""
