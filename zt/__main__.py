"""`python -m zt`."""

from zt.cli import main

if __name__ == "__main__":
    main()
