"""What may be bought from whom: the catalog file, priced by date; read by entry points alone."""
