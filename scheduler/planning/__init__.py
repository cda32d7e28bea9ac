"""From a window of jobs to a committed plan, and its parcels' way to the workers."""
