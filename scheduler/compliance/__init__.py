"""What may go where, and proof that nobody edited the answer."""
