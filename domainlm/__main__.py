"""`python -m domainlm`: the command line where its script is not installed."""

from domainlm.main import main

if __name__ == "__main__":
    main()
