"""What a model would do with a document, and at what price, before it is paid for."""
