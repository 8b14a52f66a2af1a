"""How others name the layers of Inception-v3."""

# Torchvision's names, which timm has kept: those of slim for the stem and the modules, its own for the branches.
TORCH = {
    r"stem1_(conv|bn)": "Conv2d_1a_3x3.{0}",
    r"stem2_(conv|bn)": "Conv2d_2a_3x3.{0}",
    r"stem3_(conv|bn)": "Conv2d_2b_3x3.{0}",
    r"stem4_(conv|bn)": "Conv2d_3b_1x1.{0}",
    r"stem5_(conv|bn)": "Conv2d_4a_3x3.{0}",
    r"mixed_(..)_1x1_1_(conv|bn)": "Mixed_{0}.branch1x1.{1}",
    r"mixed_(..)_pool_(conv|bn)": "Mixed_{0}.branch_pool.{1}",
    r"mixed_(5.)_5x5_(\d)_(conv|bn)": "Mixed_{0}.branch5x5_{1}.{2}",
    r"mixed_(5.)_3x3_(\d)_(conv|bn)": "Mixed_{0}.branch3x3dbl_{1}.{2}",
    r"mixed_6a_3x3_1_(conv|bn)": "Mixed_6a.branch3x3.{0}",
    r"mixed_(6a|7[bc])_3x3_double_(\d)_(conv|bn)": "Mixed_{0}.branch3x3dbl_{1}.{2}",
    r"mixed_(6[b-e])_7x7_(\d)_(conv|bn)": "Mixed_{0}.branch7x7_{1}.{2}",
    r"mixed_(6[b-e])_7x7_double_(\d)_(conv|bn)": "Mixed_{0}.branch7x7dbl_{1}.{2}",
    r"mixed_(7.)_3x3_(\d)_(conv|bn)": "Mixed_{0}.branch3x3_{1}.{2}",
    r"mixed_7a_7x7_(\d)_(conv|bn)": "Mixed_7a.branch7x7x3_{0}.{1}",
    r"mixed_(7[bc])_3x3_row_(conv|bn)": "Mixed_{0}.branch3x3_2a.{1}",
    r"mixed_(7[bc])_3x3_column_(conv|bn)": "Mixed_{0}.branch3x3_2b.{1}",
    r"mixed_(7[bc])_3x3_double_row_(conv|bn)": "Mixed_{0}.branch3x3dbl_3a.{1}",
    r"mixed_(7[bc])_3x3_double_column_(conv|bn)": "Mixed_{0}.branch3x3dbl_3b.{1}",
    r"aux1_(\d)_(conv|bn)": "AuxLogits.conv{0:-1}.{1}",
    r"aux1": "AuxLogits.fc",
    r"logits": "fc",
}
# Numbered in the order in which `keras.applications` makes them, which is that of the graph.
KERAS = {r".*_conv": "conv2d_#", r".*_bn": "batch_normalization_#", r"logits": "predictions"}
