"""How torchvision names the layers of GoogLeNet: a branch's reduction and convolution are a Sequential of two."""

TORCHVISION = {
    r"stem1_(conv|bn)": "conv1.{0}",
    r"stem2_reduce_(conv|bn)": "conv2.{0}",
    r"stem2_(conv|bn)": "conv3.{0}",
    r"inception_(..)_1x1_(conv|bn)": "inception{0}.branch1.{1}",
    r"inception_(..)_3x3_reduce_(conv|bn)": "inception{0}.branch2.0.{1}",
    r"inception_(..)_3x3_(conv|bn)": "inception{0}.branch2.1.{1}",
    r"inception_(..)_5x5_reduce_(conv|bn)": "inception{0}.branch3.0.{1}",
    r"inception_(..)_5x5_(conv|bn)": "inception{0}.branch3.1.{1}",
    r"inception_(..)_pool_proj_(conv|bn)": "inception{0}.branch4.1.{1}",
    r"aux(\d)_1x1_(conv|bn)": "aux{0}.conv.{1}",
    r"aux(\d)_dense": "aux{0}.fc1",
    r"aux(\d)": "aux{0}.fc2",
    r"logits": "fc",
}
