"""Writes the graphs beside this file.   pip install onnx; python3 internal/ort/testdata/make.py

tiny      y = x · W + ids, float32 [N,2], with W listed among the inputs as old files do
bytes     the uint8 values of a dynamic quantization
half      float16 in and out
nested    dynamic quantization and a weight in another file (which is not there), both within the branches of an If
external  y = x · W with W in external.data
"""
import os
import numpy as np
from onnx import TensorProto as T, helper as h, numpy_helper as nh, save

here = os.path.dirname(os.path.abspath(__file__))
value = h.make_tensor_value_info
node = h.make_node


def write(name, nodes, inputs, outputs, weights=(), **model):
    m = h.make_model(h.make_graph(nodes, name, inputs, outputs, list(weights)), opset_imports=[h.make_opsetid('', 17)], ir_version=8, **model)
    save(m, os.path.join(here, name + '.onnx'))


def elsewhere(tensor, location):
    tensor.ClearField('raw_data')
    tensor.data_location = T.EXTERNAL
    tensor.external_data.add(key='location', value=location)
    return tensor


W = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
write('tiny', [node('Cast', ['ids'], ['f'], to=T.FLOAT), node('MatMul', ['x', 'W'], ['xw']), node('Add', ['xw', 'f'], ['y'])],
      [value('x', T.FLOAT, ['N', 3]), value('ids', T.INT64, ['N', 1]), value('W', T.FLOAT, [3, 2])], [value('y', T.FLOAT, ['N', 2])], [nh.from_array(W, 'W')])
write('bytes', [node('DynamicQuantizeLinear', ['x'], ['q', 's', 'z'])], [value('x', T.FLOAT, ['N', 3])], [value('q', T.UINT8, ['N', 3])])
write('half', [node('Cast', ['x'], ['y'], to=T.FLOAT16), node('Cast', ['h'], ['z'], to=T.FLOAT)],
      [value('x', T.FLOAT, ['N']), value('h', T.FLOAT16, ['N'])], [value('y', T.FLOAT16, ['N']), value('z', T.FLOAT, ['N'])])

then = h.make_graph([node('DynamicQuantizeLinear', ['x'], ['q', 's', 'z']), node('DequantizeLinear', ['q', 's', 'z'], ['a'])], 'then', [], [value('a', T.FLOAT, None)])
other = h.make_graph([node('Add', ['x', 'c'], ['b'])], 'else', [], [value('b', T.FLOAT, None)], [elsewhere(nh.from_array(W[:1, 0], 'c'), 'far/weights.bin')])
write('nested', [node('If', ['flag'], ['y'], then_branch=then, else_branch=other)], [value('flag', T.BOOL, []), value('x', T.FLOAT, [3])],
      [value('y', T.FLOAT, None)], producer_name='make.py', producer_version='2')

W.tofile(os.path.join(here, 'external.data'))
write('external', [node('MatMul', ['x', 'W'], ['y'])], [value('x', T.FLOAT, ['N', 3])], [value('y', T.FLOAT, ['N', 2])], [elsewhere(nh.from_array(W, 'W'), 'external.data')])
