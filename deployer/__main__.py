"""`python -m deployer`, and the console script."""

from deployer.cli import main

if __name__ == "__main__":
    main()
