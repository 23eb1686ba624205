"""What every test run of the repository starts with: the fixed environment, and a strict nbval.

It stands at the root because the notebooks in book/ and the examples in companion/ need it as
well as tests/.
"""

import os

from tools.environment import environment

# Before any kernel starts, and before this process imports NumPy or torch.
os.environ.update(environment())
os.environ.pop("MPLBACKEND", None)  # notebooks draw into themselves

pytest_plugins = ["tools.strict_nbval"]
