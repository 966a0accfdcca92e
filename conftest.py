"""What every test shares: the surroundings of the kernels that nbval starts."""

import os
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("figure_rules", "explorer_page")  # helpers that assert

_scratch = tempfile.TemporaryDirectory(prefix="lmlib-tests-")  # removed when the tests end

os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # lmlib need not be installed
os.environ["PYTHONHASHSEED"] = "0"  # as when the outputs were stored
os.environ["LMLIB_PROGRESS"] = str(Path(_scratch.name, "progress.json"))  # not the reader's own
