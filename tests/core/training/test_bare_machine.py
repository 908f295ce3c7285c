from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from medgan_core.data.cases import Storage
from medgan_core.data.files import FileSet
from medgan_core.data.manifest import Manifest
from medgan_core.data.pack import pack
from tests.crops import write_crops

SCRIPT = """
import sys
from pathlib import Path

for name in sys.argv[3].split(","):
    sys.modules[name] = None  # as if it were not installed

from medgan_core.training import RECIPES, loop
recipe = RECIPES["sngan"](updates=2, batch=2, validate_every=2, widths=(8, 8, 8, 8))
assert loop.train(recipe, data=Path(sys.argv[1]), out=Path(sys.argv[2]), command="none", workers=0)
"""
HEAVY = (
    "SimpleITK,matplotlib,monai,nibabel,onnx,onnxruntime,openvino,pandas,psutil,pydicom,rich,scipy,"
    "skimage,sklearn,tensorboard,typer"
)


def test_a_machine_with_torch_numpy_and_safetensors_alone_trains_from_a_pack(tmp_path: Path) -> None:
    files = FileSet(Manifest.load(write_crops(tmp_path / "crops", train=2, val=1)), Storage())
    pack(files, tmp_path / "pack")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "pack"), str(tmp_path / "run"), HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "networks" / "generator.safetensors").is_file()
