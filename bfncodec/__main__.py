"""``python -m bfncodec``."""

from bfncodec.cli import main

if __name__ == "__main__":
    main()
