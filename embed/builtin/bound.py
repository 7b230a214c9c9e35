"""Makes an int8 ONNX model compute without saturation on every x86 CPU, at full speed.

x86 CPUs without VNNI multiply u8 by s8 in pairs and add the two products in 16 bits, which saturates beyond 32,767: the model then has other vectors there
than elsewhere, and worse ones. ONNX Runtime's way out (session.x64quantprecision) costs a third of the speed. Here each output channel whose neighbouring weights
could sum to more than 128 is scaled down just enough, and its scale up: the same function but for rounding.
Depthwise convolutions take another kernel, which does not saturate.

The text tower's weights become u8 with a zero point of 128, which is the same numbers: products of u8 and u8 take kernels that do not saturate. (ONNX Runtime can do
that when it loads a model, and then takes 150 ms longer.)

    pip install onnx numpy
    for t in visual textual; do python3 embed/builtin/bound.py reference-model/$t.int8.onnx embed/builtin/model/$t.int8.onnx; done
"""
import sys
import numpy as np
import onnx
from onnx import numpy_helper as nh

source, target = sys.argv[1:3]
model = onnx.load(source)
init = {i.name: i for i in model.graph.initializer}
made_by = {o: n for n in model.graph.node for o in n.output}
get = lambda name: nh.to_array(init[name])
put = lambda name, a: init[name].CopyFrom(nh.from_array(np.asarray(a, order='C'), name))
factors = []
for node in model.graph.node:
    if node.op_type not in ('Conv', 'Gemm') or any(a.name == 'group' and a.i > 1 for a in node.attribute):
        continue
    dq = made_by[node.input[1]]                     # DequantizeLinear of the weights: values, scale, zero point
    w, scale = get(dq.input[0]), get(dq.input[1])
    assert dq.op_type == 'DequantizeLinear' and w.dtype == np.int8 and scale.shape == (w.shape[0],)
    rows = w.transpose(0, 2, 3, 1) if w.ndim == 4 else w  # the runtime works with channels last
    rows = rows.reshape(len(w), -1).astype(np.float64)
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    most = np.abs(rows[:, 0::2] + rows[:, 1::2]).max(1)
    f = np.where(most > 128, 127.5 / np.maximum(most, 1), 1.0)
    put(dq.input[0], np.clip(np.round(w * f.reshape(-1, *[1] * (w.ndim - 1))), -127, 127).astype(np.int8))
    put(dq.input[1], (scale / f).astype(np.float32))
    factors.append(f.mean())
    bias = made_by.get(node.input[2]) if len(node.input) > 2 else None
    if bias is not None:                            # its scale is that of the products; a float bias needs no change
        assert bias.op_type == 'DequantizeLinear'
        put(bias.input[0], np.round(get(bias.input[0]) * f).astype(np.int32))
        put(bias.input[1], (get(bias.input[1]) / f).astype(np.float32))
shifted = set()
for node in model.graph.node:
    for name in (node.input[1], node.input[3]) if node.op_type == 'MatMulInteger' else ():  # weights, zero point
        if name not in shifted:
            assert get(name).dtype == np.int8
            put(name, (get(name).astype(np.int16) + 128).astype(np.uint8).reshape(get(name).shape))
            shifted.add(name)
onnx.checker.check_model(model)
onnx.save(model, target)
print(f'{len(factors)} layers bounded, mean factor {np.mean(factors or [1]):.3f}; {len(shifted)} tensors shifted')
