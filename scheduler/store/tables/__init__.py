"""The tables, as SQLAlchemy Core sees them; migrations/ is what makes them."""
