from __future__ import annotations

import ast
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from medgan_core import io
from medgan_core.data.cases import Storage, TrainingSet
from medgan_core.data.codec import decode, encode
from medgan_core.data.files import FileSet
from medgan_core.data.lesions import LesionPatches
from medgan_core.data.manifest import Manifest
from medgan_core.data.pack import Pack, pack
from medgan_core.data.stacks import load_stacks
from medgan_core.data.training_set import open_training_set
from medgan_core.errors import CancelledError, InputError, UsageError
from tests.core.data.studies import ROWS, save

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("codec", ["differences-zlib", "lzma"])
@pytest.mark.parametrize("shape", [(7, 5, 3), (1, 1, 1), (4, 6)])
def test_the_codec_loses_nothing(codec: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(-32768, 32768, shape).astype(np.int16)
    stream = encode(values, codec)  # type: ignore[arg-type]
    np.testing.assert_array_equal(decode(stream, codec, shape), values)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="damaged"):
        decode(stream[:-9], codec, shape)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="damaged"):
        decode(stream, codec, (*shape[:-1], shape[-1] + 1))  # type: ignore[arg-type]


def test_smooth_images_need_far_fewer_bits() -> None:
    i, j, k = np.meshgrid(*(np.linspace(0, 3, 40),) * 3, indexing="ij")
    smooth = np.rint(1000 * np.sin(i) * np.cos(j + k)).astype(np.int16)
    assert len(encode(smooth, "differences-zlib")) < smooth.nbytes / 2.5


def test_a_pack_gives_what_the_files_give(files: FileSet, packed: Pack) -> None:
    assert [(s.patient, s.split, s.licence) for s in packed.studies] == [
        (s.patient, s.split, s.licence) for s in files.studies
    ]
    assert packed.record() == files.record()
    for one, other in zip(files.studies, packed.studies, strict=True):
        a, b = files.case(one), packed.case(other)
        assert (list(a.images), list(a.labels)) == (list(b.images), list(b.labels))
        for x, y in zip(
            [*a.images.values(), *a.labels.values()], [*b.images.values(), *b.labels.values()], strict=True
        ):
            np.testing.assert_array_equal(x.values, y.values)
            np.testing.assert_array_equal(x.geometry.affine, y.geometry.affine)
            assert (x.step, x.scale) == (y.step, y.scale)


def test_values_keep_their_place_and_their_size(studies: Path) -> None:
    files = open_training_set(studies, storage=Storage(margin_mm=0.0))
    study = files.select(images=["T1"], labels=["lesion"])[0]
    case, source = files.case(study), io.read(study.images["T1"])
    stored = case.images["T1"]
    assert stored.geometry.shape != source.geometry.shape  # cropped
    assert (np.diag(stored.geometry.affine)[:3] > 0).all()  # RAS
    back = np.linalg.inv(source.geometry.affine) @ stored.geometry.affine
    index = np.indices(stored.geometry.shape).reshape(3, -1)
    where = np.rint(back[:3, :3] @ index + back[:3, 3:]).astype(int)
    truth = source.data[0][tuple(where)].reshape(stored.geometry.shape) / stored.scale
    assert np.abs(stored.image() - truth).max() <= 0.5 / 1024 + 1e-6
    lesion = io.read(study.labels["lesion"]).data[0][tuple(where)].reshape(stored.geometry.shape)
    np.testing.assert_array_equal(case.label("lesion", like="T1"), lesion)


def test_ct_stays_in_hu_and_label_maps_stay_whole(data: TrainingSet, files: FileSet) -> None:
    for source, key in (("ct", "CT"), ("maps", "labels")):
        study, original = (next(s for s in d.studies if s.source == source) for d in (data, files))
        case, paths = data.case(study), original.images | original.labels
        stored = (case.images | case.labels)[key]
        np.testing.assert_array_equal(stored.image(), io.read(paths[key]).data[0])


def test_resampling_in_plane_keeps_the_edges(studies: Path) -> None:
    storage = Storage(in_plane_mm=(2.0, 4.0), margin_mm=None)
    fine, coarse = (open_training_set(studies, storage=s) for s in (Storage(margin_mm=None), storage))
    study = fine.select(images=["T1"], labels=["lesion"])[0]
    a, b = fine.case(study).images["T1"].geometry, coarse.case(study).images["T1"].geometry
    assert b.shape == (24, 22, 40)
    np.testing.assert_allclose(b.spacing, (2, 2, 1))

    def first_edge(affine: np.ndarray) -> np.ndarray:
        return (affine @ np.array([-0.5, -0.5, -0.5, 1]))[:3]

    np.testing.assert_allclose(first_edge(a.affine), first_edge(b.affine))
    assert coarse.case(study).label("lesion", like="T1").sum() == 9 * 6


def test_a_selection_is_packed_and_wrong_names_are_refused(files: FileSet, tmp_path: Path) -> None:
    some = pack(files, tmp_path / "some", sources=["brains"], keys=["FLAIR", "lesion"], splits=["val"])
    (study,) = some.studies
    assert (study.patient, set(study.images), set(study.labels)) == ("brains/p3", {"FLAIR"}, {"lesion"})
    whole = next(s for s in files.studies if s.patient == "brains/p3")
    np.testing.assert_array_equal(
        some.case(study).images["FLAIR"].values, files.case(whole).images["FLAIR"].values
    )
    for wrong in ({"sources": ["moon"]}, {"keys": ["T9"]}, {"splits": ["test"]}):
        with pytest.raises(UsageError, match=r"moon|T9|test"):
            pack(files, tmp_path / "none", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="empty folder"):
        pack(files, tmp_path / "some")


def test_a_cancelled_pack_is_no_pack(files: FileSet, tmp_path: Path) -> None:
    steps: list[float] = []
    with pytest.raises(CancelledError):
        pack(
            files, tmp_path / "p", progress=lambda p: steps.append(p.fraction), cancel=lambda: len(steps) > 4
        )
    assert len(steps) == 5
    with pytest.raises(InputError, match="no pack"):
        Pack.load(tmp_path / "p")


def test_damage_is_found(packed: Pack, tmp_path: Path) -> None:
    folder = shutil.copytree(packed.folder, tmp_path / "copy")
    Pack.load(folder, verify=True)
    index = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    entry = index["studies"][0]["arrays"][0]
    file = folder / entry["file"]
    blob = bytearray(file.read_bytes())
    blob[-40] ^= 1
    file.write_bytes(blob)
    with pytest.raises(InputError, match=r"damaged|not what was packed"):
        Pack.load(folder, verify=True)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        Pack.load(folder, verify=True)
    for change in ({"version": 9}, {"colour": 1}, {"format": "zip"}):
        (folder / "pack.json").write_text(json.dumps(index | change), encoding="utf-8")
        with pytest.raises(InputError, match="cannot be read"):
            Pack.load(folder)


def test_a_changed_hash_or_split_is_found(packed: Pack, tmp_path: Path) -> None:
    folder = shutil.copytree(packed.folder, tmp_path / "copy")
    index = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    index["studies"][0]["arrays"][0]["sha256"] = "0" * 64
    (folder / "pack.json").write_text(json.dumps(index), encoding="utf-8")
    Pack.load(folder)
    with pytest.raises(InputError, match="not what was packed"):
        Pack.load(folder, verify=True)
    index["studies"][2]["patient"] = index["studies"][-3]["patient"] = "same"
    index["studies"][2]["split"], index["studies"][-3]["split"] = "train", "val"
    (folder / "pack.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(InputError, match="two splits"):
        Pack.load(folder)


def test_one_image_under_two_names_is_not_packed(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 99, (6, 6, 6)).astype(np.int16)
    for name in ("a", "b"):
        save(image, np.eye(4), tmp_path / f"{name}.nii")
    rows = [ROWS, "s,p,,T1,image,crop,train,,a.nii", "s,q,,T1,image,crop,val,,b.nii"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(InputError, match="same image"):
        pack(FileSet(Manifest.load(tmp_path)), tmp_path / "out")


def test_a_pack_in_another_form_is_refused(packed: Pack) -> None:
    assert open_training_set(packed.folder, storage=Storage()).storage == Storage()
    with pytest.raises(UsageError, match="another form"):
        open_training_set(packed.folder, storage=Storage(levels=512))


def test_no_path_of_the_machine_is_in_a_pack(packed: Pack, studies: Path) -> None:
    text = b"".join(p.read_bytes() for p in sorted(packed.folder.iterdir()))
    assert str(studies).encode() not in text
    assert b"brains/p0/T1.nii.gz" in text


def reached(module: str, found: set[str]) -> set[str]:
    """Everything that is imported when a module is, own modules followed; late imports do not count."""
    file = ROOT / (module.replace(".", "/") + ".py")
    file = file if file.is_file() else ROOT / module.replace(".", "/") / "__init__.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{name}" for name in names]
            packages = [n for n in whole if (ROOT / n.replace(".", "/")).with_suffix(".py").is_file()]
            names = [node.module, *packages]
        for name in names:
            if name not in found:
                found.add(name)
                if name.startswith("medgan_core"):
                    reached(name, found)
    return found


def test_a_pack_needs_no_heavy_library(packed: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("training_set", "crops", "slices", "stacks", "lesions", "degradation"):
        others = {n.split(".")[0] for n in reached(f"medgan_core.data.{module}", set())}
        assert others - set(sys.stdlib_module_names) <= {"medgan_core", "numpy", "torch", "safetensors"}
    for name in ("scipy", "medgan_core.preprocess", "medgan_core.foreground"):
        monkeypatch.setitem(sys.modules, name, None)  # imported from now on, it fails
    data = open_training_set(packed.folder)
    assert len([data.case(s) for s in data.studies]) == 10
    stacks = load_stacks(data, ("T1", "FLAIR"), validation=False, label="lesion")
    assert set(LesionPatches(stacks, size=(8, 8), least=4)[1]) == {"image", "mask", "label", "case"}
