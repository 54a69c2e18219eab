"""``python -m steelquant`` is the same as the ``steelquant`` command."""

from steelquant.cli import main

if __name__ == "__main__":
    main()
