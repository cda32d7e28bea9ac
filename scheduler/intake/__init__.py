"""How jobs come in: Kafka, files and directories."""
