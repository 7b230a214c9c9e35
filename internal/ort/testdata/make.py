"""Writes tiny.onnx: y = x · W + ids, float32 [N,2], and wide.onnx, which answers int64.   pip install onnx; python3 internal/ort/testdata/make.py"""
import os
import numpy as np
from onnx import TensorProto as T, helper as h, numpy_helper as nh, save

here = os.path.dirname(os.path.abspath(__file__))
value = h.make_tensor_value_info
weights = nh.from_array(np.array([[1, 2], [3, 4], [5, 6]], np.float32), 'W')
nodes = [h.make_node('Cast', ['ids'], ['f'], to=T.FLOAT), h.make_node('MatMul', ['x', 'W'], ['xw']), h.make_node('Add', ['xw', 'f'], ['y'])]
graph = h.make_graph(nodes, 'tiny', [value('x', T.FLOAT, ['N', 3]), value('ids', T.INT64, ['N', 1]), value('W', T.FLOAT, [3, 2])], [value('y', T.FLOAT, ['N', 2])], [weights])
save(h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8), os.path.join(here, 'tiny.onnx'))
nodes = [h.make_node('DynamicQuantizeLinear', ['x'], ['q', 's', 'z'])]
graph = h.make_graph(nodes, 'wide', [value('x', T.FLOAT, ['N', 3])], [value('q', T.UINT8, ['N', 3])])
save(h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8), os.path.join(here, 'bytes.onnx'))
