"""`python -m harmonizer` is `harmonizer`, for where the scripts of an environment are not found."""

import sys

from harmonizer.cli import main

sys.exit(main())
