"""Writes the arrays that npy_test.go reads: python3 make_golden.py (numpy 2)"""
import pathlib
import numpy as np

here = pathlib.Path(__file__).parent
x = np.array([[0, 1, 2], [3, 4, 5]])
for name in ("f2", "f4", "f8", ">f4", ">f8", "i1", "i2", "i4", "i8", ">i2", "u1", "u2", "u4", "u8", "b1"):
    np.save(here / (name.replace(">", "big_") + ".npy"), x.astype(name))
np.save(here / "fortran.npy", np.asfortranarray(np.arange(24, dtype="<f4").reshape(2, 3, 4)))
np.save(here / "scalar.npy", np.float32(7))
np.save(here / "row.npy", np.arange(3, dtype="<i8") - 1)
np.save(here / "empty.npy", np.zeros((0, 4), "<f4"))
np.save(here / "complex.npy", np.zeros(2, "c8"))
np.save(here / "struct.npy", np.zeros(2, [("a", "<f4"), ("b", "<i8")]))
np.save(here / "half.npy", np.array([1.5, -0.000061, 6e-8, 65504, np.inf, -np.inf, 1 / 3], "<f2"))
for version in ((2, 0), (3, 0)):
    with open(here / f"v{version[0]}.npy", "wb") as f:
        np.lib.format.write_array(f, x.astype("<f4"), version=version)
