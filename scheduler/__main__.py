"""`python -m scheduler` is the `apportion` command."""

from scheduler.cli.main import main

main()
