"""The tests: one folder per room, and the rig that they stand on."""
