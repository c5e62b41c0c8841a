"""Prints numbers as pandas writes them: the bits of each, and its text, in double and in single precision."""

import io

import numpy as np
import pandas as pd

random = np.random.RandomState(5)
bits = random.randint(0, 2**63, 20000, dtype=np.int64) | (random.randint(0, 2, 20000) << 63)
doubles = np.concatenate(
    [
        bits.view(np.float64),
        10.0 ** np.arange(-20, 25),
        -(10.0 ** np.arange(-20, 25)) * 1.5,
        random.uniform(0, 1, 2000),
        random.randint(0, 10**6, 500).astype(float),
        [0.0, -0.0, 5e-324, 1.7976931348623157e308, 9999999999999998.0, 1e16, 123456789012345680.0, np.inf, -np.inf],
    ]
)
doubles = doubles[~np.isnan(doubles)]
singles = np.concatenate([bits.view(np.float32)[:20000], doubles.astype(np.float32)])
singles = singles[~np.isnan(singles)]
print("type,bits,text")
for name, numbers, integers in [("f64", doubles, np.uint64), ("f32", singles, np.uint32)]:
    text = io.StringIO()
    pd.DataFrame({"x": numbers}).to_csv(text, index=False, lineterminator="\n")
    for number, written in zip(numbers.view(integers), text.getvalue().splitlines()[1:]):
        print(f"{name},{number},{written}")
