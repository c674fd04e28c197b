"""`python -m uslm`, which is the command `uslm`."""

import sys

from uslm_tokenizer.addresses import load_address

if __name__ == "__main__":
    # By address: the command line lies above this package, and imports it.
    sys.exit(load_address("uslm_app.cli:main")())
