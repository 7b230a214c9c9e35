package onnx

// convRules are the gradients of convolutions and pooling.
var convRules = map[string]vjp{}
