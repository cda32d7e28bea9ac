"""How each provider is spoken to: one file each."""
