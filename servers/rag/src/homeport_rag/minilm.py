"""Builds the embedding model: all-MiniLM-L6-v2 as one int8 ONNX file, from its published weights.

The graph is BERT (6 layers, 12 heads, 384 wide) with mean pooling and L2 normalisation inside, in plain operators of
ONNX opset 17, then quantised to int8 with dynamic activation scales. It runs once, in a process of its own.
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeport_shared.errors import HomeportError

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Tensors = dict[str, "np.ndarray[Any, np.dtype[np.float32]]"]

LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = 1e-12  # of every layer normalisation, from the model's config.json
OPSET = 17
IR_VERSION = 8


def build_int8(weights: Path) -> bytes:
    """Return the int8 ONNX model made of a `model.safetensors` whose checksum was verified.

    Takes about 2 seconds and 500 MB. The same weights and library versions give the same bytes.

    Raises:
        HomeportError: `damaged`, when the file is not the weights of all-MiniLM-L6-v2.
    """
    import onnx
    from onnxruntime.quantization import (  # pyright: ignore[reportMissingTypeStubs]
        QuantType,
        quantize_dynamic,  # pyright: ignore[reportUnknownVariableType]
    )

    model = build_graph(read_safetensors(weights))
    with tempfile.TemporaryDirectory() as folder:
        exact, small = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        exact.write_bytes(model.SerializeToString(deterministic=True))
        # reduce_range: 7-bit weights cannot saturate on processors without VNNI.
        quantize_dynamic(
            exact,
            small,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return small.read_bytes()


def read_safetensors(path: Path) -> Tensors:
    """Return the float32 tensors of a safetensors file by name.

    Format: 8 bytes length (little endian), a JSON header with type, shape and offsets, then the data
    (https://github.com/huggingface/safetensors#format).

    Raises:
        HomeportError: `damaged`, when the file does not have that form.
    """
    import numpy as np

    data = memoryview(path.read_bytes())
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(bytes(data[8:start]))
        body = data[start:]
        return {
            name: np.frombuffer(body[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
            for name, entry in header.items()
            if entry.get("dtype") == "F32"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HomeportError("damaged", f"{path} is not a safetensors file.", "Get the model again.") from error


def build_graph(tensors: Tensors) -> onnx.ModelProto:
    """Return the float32 model: `input_ids`, `attention_mask` (int64, [b, s]) → `embedding` (float32, [b, 384]).

    Raises:
        HomeportError: `damaged`, when a tensor of the architecture is missing.
    """
    try:
        return _Graph(tensors).model()
    except KeyError as error:
        raise HomeportError("damaged", f"The weights have no tensor {error}.", "Get the model again.") from error


class _Graph:
    """The nodes and constants of the graph while it grows; each method adds some and returns its output's name."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        from onnx import TensorProto, helper

        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        mask = self.node("Cast", "attention_mask", to=TensorProto.FLOAT)
        x, blocked = self.embeddings(), self.blocked(mask)
        for layer in range(LAYERS):
            x = self.layer(f"encoder.layer.{layer}", x, blocked)
        self.pool(x, mask, "embedding")
        outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])]
        graph = helper.make_graph(self.nodes, "all-MiniLM-L6-v2", inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def embeddings(self) -> str:
        """Word + position + the one token type there is, which is added into the positions here."""
        positions = self.tensors["embeddings.position_embeddings.weight"]
        table = self.constant(positions + self.tensors["embeddings.token_type_embeddings.weight"][0])
        length = self.node("Gather", self.node("Shape", "input_ids"), self.integers([1]))
        words = self.node("Gather", self.weight("embeddings.word_embeddings"), "input_ids")
        places = self.node("Slice", table, self.integers([0]), length, self.integers([0]))
        return self.normalised("embeddings.LayerNorm", words, places)

    def blocked(self, mask: str) -> str:
        """[b, 1, 1, s]: 0 where a token may be looked at, -1e9 where there is padding."""
        wide = self.node("Unsqueeze", mask, self.integers([1, 2]))
        return self.node("Mul", self.node("Sub", self.number(1.0), wide), self.number(-1e9))

    def layer(self, name: str, x: str, blocked: str) -> str:
        attended = self.linear(f"{name}.attention.output.dense", self.attention(f"{name}.attention.self", x, blocked))
        x = self.normalised(f"{name}.attention.output.LayerNorm", attended, x)
        hidden = self.gelu(self.linear(f"{name}.intermediate.dense", x))
        return self.normalised(f"{name}.output.LayerNorm", self.linear(f"{name}.output.dense", hidden), x)

    def attention(self, name: str, x: str, blocked: str) -> str:
        query, value = self.heads(f"{name}.query", x, [0, 2, 1, 3]), self.heads(f"{name}.value", x, [0, 2, 1, 3])
        key = self.heads(f"{name}.key", x, [0, 2, 3, 1])
        scale = self.number(math.sqrt(WIDTH / HEADS))
        scores = self.node("Add", self.node("Div", self.node("MatMul", query, key), scale), blocked)
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), value)
        mixed = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.node("Reshape", mixed, self.integers([0, 0, WIDTH]))

    def heads(self, name: str, x: str, order: list[int]) -> str:
        split = self.node("Reshape", self.linear(name, x), self.integers([0, 0, HEADS, WIDTH // HEADS]))
        return self.node("Transpose", split, perm=order)

    def gelu(self, x: str) -> str:
        """Return x · ½(1 + erf(x / √2)), in the form that ONNX Runtime fuses into its own fast kernel."""
        error = self.node("Erf", self.node("Div", x, self.number(math.sqrt(2))))
        return self.node("Mul", self.node("Mul", x, self.node("Add", error, self.number(1.0))), self.number(0.5))

    def pool(self, x: str, mask: str, output: str) -> None:
        """Mean over the tokens that are no padding, at length 1."""
        weights = self.node("Unsqueeze", mask, self.integers([2]))
        total = self.node("ReduceSum", self.node("Mul", x, weights), self.integers([1]), keepdims=0)
        count = self.node("Max", self.node("ReduceSum", weights, self.integers([1]), keepdims=0), self.number(1e-9))
        mean = self.node("Div", total, count)
        square = self.node("ReduceSum", self.node("Mul", mean, mean), self.integers([1]))
        self.node("Div", mean, self.node("Max", self.node("Sqrt", square), self.number(1e-12)), output=output)

    def linear(self, name: str, x: str) -> str:
        import numpy as np

        weight = self.constant(np.ascontiguousarray(self.tensors[f"{name}.weight"].T))
        return self.node("Add", self.node("MatMul", x, weight), self.constant(self.tensors[f"{name}.bias"]))

    def normalised(self, name: str, *parts: str) -> str:
        # Sum, not Add: ONNX Runtime fuses Add and LayerNormalization into a kernel that is three times slower.
        scale, bias = self.weight(name), self.constant(self.tensors[f"{name}.bias"])
        return self.node("LayerNormalization", self.node("Sum", *parts), scale, bias, axis=-1, epsilon=EPSILON)

    def weight(self, name: str) -> str:
        return self.constant(self.tensors[f"{name}.weight"])

    def integers(self, values: list[int]) -> str:
        import numpy as np

        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        import numpy as np

        return self.constant(np.array(value, np.float32))

    def constant(self, array: np.ndarray[Any, Any]) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output
