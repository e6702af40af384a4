"""Where the seeds of the attacks begin, so that others can be tried: `make attack SEED=1000`."""

import os
from typing import Final

SEED: Final = int(os.environ.get("SEED", "0"))
