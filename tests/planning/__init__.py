"""Planning: windows, their plans, and the bells for the work."""
