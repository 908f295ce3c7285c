"""The Slicer module's tests. Its code is in the extension's folders; windows and views need no screen."""

import os
import sys
from pathlib import Path

EXTENSION = Path(__file__).resolve().parents[2] / "slicer_extension"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(EXTENSION), str(EXTENSION / "MedGAN")]
