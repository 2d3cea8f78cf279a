"""`python -m vvbatch` is the command line."""

from vvbatch.cli import main

if __name__ == "__main__":
    main(prog_name="vvbatch")
