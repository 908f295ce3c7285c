"""`python -m medgan_core.cli`, as torchrun starts it: the command line."""

from medgan_core.cli import main

main()
